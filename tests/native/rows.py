"""The kernels of an operation, as its tests take them: every row of its kernels.inc."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import pytest

from lamella import _native


class Kernel(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def runs_here(self) -> bool: ...


Row = TypeVar("Row", bound=Kernel)


def kernels_here(kernels: Sequence[Row]) -> list[Row]:
    """Returns the kernels that this processor runs: what hypothesis may draw from."""
    return [kernel for kernel in kernels if kernel.runs_here]


def each_kernel(kernels: Sequence[Row]) -> Callable[[pytest.FixtureRequest], Row]:
    """Returns a fixture that is each kernel in turn; what the processor lacks is skipped by name.

    A test module binds it to `kernel`.
    """

    @pytest.fixture(params=kernels, ids=lambda kernel: kernel.name)
    def kernel(request: pytest.FixtureRequest) -> Row:
        chosen: Row = request.param
        if not chosen.runs_here:
            pytest.skip(f"{chosen.name} is untested: this processor lacks {_lacks(chosen.name)}")
        return chosen

    return kernel


def _lacks(name: str) -> str:
    """Returns the features that a kernel needs and this processor does not have."""
    (lacks,) = [row["lacks"] for row in _native.kernels() if row["name"] == name]
    return ", ".join(lacks)
