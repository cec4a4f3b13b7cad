"""Mirrors native/kernels/peak: every row of kernels.inc gives the integer that it must."""

from __future__ import annotations

import pytest
from native.rows import each_kernel

from lamella import _native

kernel = each_kernel(_native.peak_kernels())
# The largest operands of each width whose sums are exact.
LARGEST = {4: (15, 127), 8: (127, 127), 32: (1, 64)}


@pytest.mark.parametrize("rounds", [0, 1, 7, 4096])
@pytest.mark.parametrize("pool", [None, _native.ThreadPool(3)])
def test_equals_the_sum_of_all_products(
    kernel: _native.PeakKernel, rounds: int, pool: _native.ThreadPool | None
) -> None:
    for weight, given in (LARGEST[kernel.bits], (1, 1), (3, 5), (0, 9)):
        if kernel.bits == 32 and rounds * weight * given > 1 << 18:
            continue
        expected = rounds * kernel.products * weight * given % (1 << 32)
        assert kernel.run(rounds, weight, given, pool) == expected


@pytest.mark.parametrize(
    ("bits", "arguments", "message"),
    [
        (4, (1, 16, 1), "weight must be 0 to 15, not 16"),
        (8, (1, 128, 1), "weight must be 0 to 127, not 128"),
        (8, (1, 1, -1), "input must be 0 to 127, not -1"),
        (32, ((1 << 18) + 1, 1, 1), r"up to 262144; take fewer rounds than 262145"),
    ],
)
def test_what_is_not_exact_is_refused(
    bits: int, arguments: tuple[int, int, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        _native.peak_kernel(bits).run(*arguments)


def test_other_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="bits must be 4, 8 or 32, not 16"):
        _native.peak_kernel(16)
