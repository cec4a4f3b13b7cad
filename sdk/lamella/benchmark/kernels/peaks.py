"""What the arithmetic of an instruction set does at most: the kernels of `peak`."""

from __future__ import annotations

from functools import partial

from lamella import _native
from lamella.benchmark.kernels.case import Call, companion

# Some 50 microseconds where a processor multiplies 512 bits.
ROUNDS = 1 << 15


def peak(bits: int, isa: str, pool: _native.ThreadPool) -> tuple[str, Call]:
    """Returns the name and a call of what kernels of a set are compared with.

    `bits` is 4 or 8, the width of the codes of weights, or 32 for float32. A call counts as one
    addition or multiplication for each that it does.
    """
    kernel = companion([row for row in _native.peak_kernels() if row.bits == bits], isa)
    run = partial(kernel.run, ROUNDS, 1, 1, pool)
    return kernel.name, Call(run, count=2 * kernel.products * ROUNDS)


def peak_of_codes(bits: int) -> int:
    """Returns the `bits` of the peak for weights of that width."""
    return 4 if bits <= 4 else 8
