"""Programs of one call, to test an operation on its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lamella import _native
from lamella.targets.native.program import Program
from lamella.targets.native.writer import write

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Case:
    """An operation, its operands, and what it must give; `fed` operands are inputs."""

    operation: str
    operands: Sequence[Array | None]
    expected: Array
    integers: Sequence[int] = ()
    numbers: Sequence[float] = ()
    fed: Sequence[int] = (0,)
    name: str = field(default="")

    def program(self) -> tuple[Program, Mapping[str, Array]]:
        """Returns the program and its inputs."""
        program, inputs, values = Program(), {}, []
        for place, array in enumerate(self.operands):
            if array is not None and place in self.fed:
                inputs[f"x{place}"] = array
                values.append(program.input(f"x{place}", str(array.dtype), array.shape))
            else:
                values.append(None if array is None else program.constant(array))
        program.outputs["y"] = program.call(
            self.operation,
            values,
            self.expected.shape,
            integers=self.integers,
            numbers=self.numbers,
            dtype=str(self.expected.dtype),
        )
        return program, inputs

    def run(self, threads: int = 1) -> Array:
        """Returns the result of the engine."""
        program, inputs = self.program()
        return opened(program, threads=threads).run(inputs)["y"]

    def check(self) -> None:
        """Compares bytes with 1 and with 3 threads."""
        for threads in (1, 3):
            y = self.run(threads)
            np.testing.assert_array_equal(y, self.expected)
            assert y.tobytes() == self.expected.tobytes()

    def refused(self, sentence: str) -> None:
        """Expects that the engine does not open the program."""
        program, _ = self.program()
        with pytest.raises(ValueError, match=sentence):
            opened(program)


def opened(program: Program, **options: Any) -> _native.Session:
    """Returns a session of a program."""
    files = write(program)
    weights = np.frombuffer(files["weights.bin"], np.uint8)
    return _native.Session(files["program.bin"], weights, **options)


def fuzz(program: Program, inputs: Mapping[str, Array], flips: Sequence[int] = (1, 255)) -> int:
    """Changes every byte of a program, runs what is not refused, and counts what is."""
    files = write(program)
    constants = np.frombuffer(files["weights.bin"], np.uint8)
    refused = 0
    for place in range(len(files["program.bin"])):
        for flip in flips:
            changed = bytearray(files["program.bin"])
            changed[place] ^= flip
            try:
                _native.Session(bytes(changed), constants).run(dict(inputs))
            except ValueError:
                refused += 1
    return refused
