"""The kernels of an operation, as its tests take them: every row of its kernels.inc."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import pytest
from native.probes import NATIVE

from lamella import _native

# The rows of every operation, for whatever processor.
ROWS = {
    name
    for path in NATIVE.glob("kernels/*/kernels.inc")
    for name in re.findall(r"^LAMELLA_KERNEL\((\w+),", path.read_text(), re.MULTILINE)
}
# The set that each set extends.
EXTENDED = {
    "avx2": "portable",
    "avxvnni": "avx2",
    "avx512": "avx2",
    "avx512vbmi2": "avx512",
    "neon": "portable",
    "dotprod": "neon",
    "i8mm": "dotprod",
}


class Kernel(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def runs_here(self) -> bool: ...


Row = TypeVar("Row", bound=Kernel)


def selected(work: str, isa: str) -> str:
    """Returns the kernel that must run with a set: its own, or that of the set that it extends."""
    while f"{work}_{isa}" not in ROWS:
        isa = EXTENDED[isa]
    return f"{work}_{isa}"


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
