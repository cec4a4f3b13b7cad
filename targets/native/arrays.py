"""Arrays while a program is written: stored in any order of axes, as numbers or as codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from lamella.errors import LoweringError
from lamella.frontend.model import ActivationGrid
from lamella.targets.native.program import Axis, Program, Value
from lamella.targets.native.sizes import ONE, broadcast

CHANNELS_LAST = (0, 2, 3, 1)


@dataclass(frozen=True, slots=True)
class Array:
    """An array of the graph and the value of the program that has its elements.

    `axes` are the sizes that the graph sees. Stored axis i is axis order[i] of them; it has the
    size 1 instead where the array only repeats its elements along it. With a `grid` the value
    holds uint8 codes.
    """

    value: Value
    axes: tuple[Axis, ...]
    order: tuple[int, ...]
    grid: ActivationGrid | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing is repeated."""
        return all(a == self.axes[i] for a, i in zip(self.value.axes, self.order, strict=True))

    def moved(self, order: Sequence[int]) -> Array:
        """Returns the array whose axis i is axis order[i] of this one; costs nothing."""
        places = list(order)
        axes = tuple(self.axes[i] for i in places)
        return replace(self, axes=axes, order=tuple(places.index(i) for i in self.order))


class Arrays:
    """Brings arrays of a program into the form that an operation takes; each is made once."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._made: dict[tuple[Any, ...], Value] = {}

    def plain(self, value: Value) -> Array:
        """Returns an array that is stored as the graph sees it."""
        return Array(value, value.axes, tuple(range(len(value.axes))))

    def constant(self, data: npt.NDArray[Any]) -> Array:
        """Returns an array of constants."""
        return self.plain(self.program.constant(data))

    def stored(self, array: Array, order: Sequence[int] | None = None) -> Value:
        """Returns all elements with their axes in an order, by default that of the graph."""
        if not array.whole:
            raise LoweringError(
                "an array that repeats its elements is used as a whole, and no operation writes "
                "the repetitions out"
            )
        return self.ordered(array, tuple(range(len(array.axes))) if order is None else order)

    def ordered(self, array: Array, order: Sequence[int]) -> Value:
        """Does the same, but leaves the size 1 where an axis repeats its elements."""
        value, order = array.value, tuple(order)
        sizes = dict(zip(array.order, value.axes, strict=True))
        if order == array.order:
            return value
        axes = tuple(sizes[i] for i in order)
        key = ("order", value, array.order, order)
        if key not in self._made:
            steps = [array.order.index(i) for i in order]
            data = value.owner.data
            if data is not None:
                moved = data.reshape([axis.add for axis in value.axes]).transpose(steps)
                self._made[key] = self.program.constant(moved)
            elif _long(array.order, sizes) == _long(order, sizes):
                self._made[key] = self.program.view(value, axes)
            else:
                self._made[key] = self.program.call(
                    "transpose", (value,), axes, integers=steps, dtype=value.dtype
                )
        return self._made[key]

    def real(self, array: Array) -> Array:
        """Returns the numbers of an array that may be codes."""
        if array.grid is None:
            return array
        key = ("real", array.value, array.grid)
        if key not in self._made:
            self._made[key] = self.program.call(
                "dequantize",
                (array.value,),
                array.value.axes,
                integers=(array.grid.zero,),
                numbers=(array.grid.scale,),
            )
        return replace(array, value=self._made[key], grid=None)

    def codes(self, array: Array, grid: ActivationGrid) -> Array:
        """Returns the codes of an array on a grid."""
        if array.grid == grid:
            return array
        array = self.real(array)
        key = ("codes", array.value, grid)
        if key not in self._made:
            self._made[key] = self.program.call(
                "quantize",
                (array.value,),
                array.value.axes,
                integers=(grid.zero,),
                numbers=(grid.scale,),
                dtype="uint8",
            )
        return replace(array, value=self._made[key], grid=grid)

    def unary(self, operation: str, array: Array) -> Array:
        """Applies a function to every element."""
        array = self.real(array)
        value = self.program.call(operation, (array.value,), array.value.axes)
        return replace(array, value=value)

    def binary(self, operation: str, a: Array, b: Array) -> Array:
        """Applies a function to two arrays, which are broadcast."""
        a, b = self.real(a), self.real(b)
        rank = max(len(a.axes), len(b.axes))
        a, b = self._widened(a, rank), self._widened(b, rank)
        # The order of the one that would cost more to move.
        order = b.order if a.value.place == "weights" or ONE in a.value.axes else a.order
        left, right = self.ordered(a, order), self.ordered(b, order)
        pairs = zip(left.axes, right.axes, strict=True)
        value = self.program.call(operation, (left, right), [broadcast(x, y) for x, y in pairs])
        axes = tuple(broadcast(x, y) for x, y in zip(a.axes, b.axes, strict=True))
        return Array(value, axes, order)

    def _widened(self, array: Array, rank: int) -> Array:
        """Gives an array axes of size 1 in front."""
        missing = rank - len(array.axes)
        if not missing:
            return array
        ones = (ONE,) * missing
        order = (*range(missing), *(i + missing for i in array.order))
        value = self.program.view(array.value, (*ones, *array.value.axes))
        return Array(value, (*ones, *array.axes), order)


def _long(order: Sequence[int], sizes: dict[int, Axis]) -> list[int]:
    """Returns the axes that have more than one element."""
    return [i for i in order if sizes[i] != ONE]
