"""A program of the native engine under construction; `native/engine/PROGRAM.md` is its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Place = Literal["arena", "weights", "input", "state"]


@dataclass(frozen=True, slots=True)
class Symbol:
    """A size that is known only at run time: an axis of an input, or chosen on opening."""

    name: str
    least: int
    most: int
    opening: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """A size: add + mul * the product of some symbols."""

    add: int = 0
    mul: int = 0
    symbols: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.symbols:
            return str(self.add)
        factors = ([str(self.mul)] if self.mul != 1 else []) + sorted(self.symbols)
        return "*".join(factors) + (f"{self.add:+d}" if self.add else "")


def axis(size: int | str | Axis) -> Axis:
    """Returns a number, or the name of a symbol, as an axis."""
    if isinstance(size, Axis):
        return size
    return Axis(add=size) if isinstance(size, int) else Axis(mul=1, symbols=(size,))


@dataclass(eq=False, slots=True)
class Value:
    """An array of a program. `data` are the elements of a constant.

    `root` is the value whose memory this one shows with other sizes, or None.
    """

    dtype: str
    axes: tuple[Axis, ...]
    place: Place = "arena"
    data: npt.NDArray[Any] | None = None
    root: Value | None = None

    @property
    def owner(self) -> Value:
        """Returns the value that has the memory."""
        return self if self.root is None else self.root.owner


@dataclass(frozen=True, slots=True)
class Call:
    """One operation; `results` follow `operands` in the file."""

    operation: str
    operands: tuple[Value | None, ...]
    results: tuple[Value, ...]
    integers: tuple[int, ...]
    numbers: tuple[float, ...]
    label: str

    def labelled(self, label: str) -> Call:
        """Returns the same call for a layer."""
        return replace(self, label=label)


@dataclass
class Program:
    """Calls in the order in which they run, and the values that they read and write."""

    symbols: list[Symbol] = field(default_factory=list)
    inputs: dict[str, Value] = field(default_factory=dict)
    outputs: dict[str, Value] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def input(self, name: str, dtype: str, axes: Sequence[int | str | Axis]) -> Value:
        """Adds an input; its axes are numbers and names of symbols."""
        value = Value(dtype, tuple(axis(size) for size in axes), "input")
        self.inputs[name] = value
        return value

    def constant(self, array: npt.NDArray[Any]) -> Value:
        """Returns a value with the elements of an array; equal arrays are stored once."""
        data = np.ascontiguousarray(array)
        return Value(str(data.dtype), tuple(Axis(add=n) for n in data.shape), "weights", data)

    def state(self, dtype: str, axes: Sequence[int | str | Axis]) -> Value:
        """Returns memory that keeps its elements from run to run and begins as zeros."""
        return Value(dtype, tuple(axis(size) for size in axes), "state")

    def view(self, value: Value, axes: Sequence[int | str | Axis]) -> Value:
        """Returns the elements of a value with other sizes."""
        return Value(value.dtype, tuple(axis(s) for s in axes), value.place, root=value)

    def call(
        self,
        operation: str,
        operands: Sequence[Value | None],
        axes: Sequence[int | str | Axis],
        *,
        integers: Sequence[int] = (),
        numbers: Sequence[float] = (),
        dtype: str = "float32",
        label: str = "",
    ) -> Value:
        """Adds an operation with one result of these sizes and returns the result."""
        result = Value(dtype, tuple(axis(size) for size in axes))
        self.calls.append(
            Call(operation, tuple(operands), (result,), tuple(integers), tuple(numbers), label)
        )
        return result

    def update(
        self,
        operation: str,
        operands: Sequence[Value | None],
        states: Sequence[Value],
        integers: Sequence[int] = (),
        label: str = "",
    ) -> None:
        """Adds an operation that writes into states."""
        call = Call(operation, tuple(operands), tuple(states), tuple(integers), (), label)
        self.calls.append(call)

    def nbytes(self, value: Value) -> int:
        """Returns the most bytes that a value has."""
        most = {symbol.name: symbol.most for symbol in self.symbols}
        sizes = (a.add + a.mul * prod(most[name] for name in a.symbols) for a in value.axes)
        return prod(sizes) * np.dtype(value.dtype).itemsize

    def text(self) -> str:
        """Returns the program for people: a line for each call."""
        names: dict[Value, str] = {value: name for name, value in self.inputs.items()}
        lines = []
        for call in self.calls:
            for result in call.results:
                names.setdefault(result, f"%{len(names) - len(self.inputs)}")
            given = ", ".join(_named(value, names) for value in call.operands)
            extra = [*map(str, call.integers), *(f"{number:g}" for number in call.numbers)]
            left = ", ".join(_named(value, names) for value in call.results)
            tail = f" [{', '.join(extra)}]" if extra else ""
            note = f"  # {call.label}" if call.label else ""
            lines.append(f"{left} = {call.operation}({given}){tail}{note}")
        given = ", ".join(f"{name} = {_named(v, names)}" for name, v in self.outputs.items())
        return "\n".join([*lines, f"outputs: {given}", ""])


def _named(value: Value | None, names: dict[Value, str]) -> str:
    if value is None:
        return "none"
    sizes = "x".join(map(str, value.axes))
    if value.place == "weights":
        return f"{value.dtype}:{sizes}"
    return f"{names.get(value.owner, value.place)}:{sizes}"
