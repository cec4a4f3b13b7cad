"""Mirrors native/kernels/softmax: every row of kernels.inc against the reference, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from native.rows import each_kernel

from lamella import _native
from native import reference_float as reference

kernel = each_kernel(_native.softmax_kernels())


@pytest.mark.parametrize("cols", reference.LENGTHS)
def test_equals_the_reference(kernel: _native.SoftmaxKernel, cols: int) -> None:
    for scale in (0.1, 3.0, 60.0):
        x = reference.draw(cols, 3, cols, scale=scale)
        np.testing.assert_array_equal(
            reference.bits(kernel.run(x)), reference.bits(reference.softmax(x))
        )


@pytest.mark.parametrize("cols", reference.LENGTHS)
def test_is_near_float64(kernel: _native.SoftmaxKernel, cols: int) -> None:
    x = reference.draw(cols, 4, cols, scale=8.0)
    distance = x.max(axis=1, keepdims=True).astype(np.float64) - x
    powers = np.exp(-distance)
    exact = powers / powers.sum(axis=1, keepdims=True)
    # In units: the rounded distance and one place of exp (2 units) for the power itself and for
    # the worst term of the sum, the longest chain of additions, and the division. A power below
    # the normal numbers is off by one place more.
    units = distance + distance.max(axis=1, keepdims=True) + 2 * 2 + (cols / 16 + 1 + 4) + 1
    error = np.abs(kernel.run(x) - exact)
    assert (error <= 1.01 * reference.UNIT * units * exact + 2 * reference.TINY).all()


@pytest.mark.parametrize("cols", [2, 16, 17, 47])
def test_minus_infinity_gets_nothing(kernel: _native.SoftmaxKernel, cols: int) -> None:
    x = reference.draw(cols, cols, cols)
    np.fill_diagonal(x, -np.inf)
    given = kernel.run(x)
    np.testing.assert_array_equal(reference.bits(given), reference.bits(reference.softmax(x)))
    assert (np.diag(given) == 0).all()
    assert (given[~np.eye(cols, dtype=bool)] > 0).all()


@pytest.mark.parametrize("cols", [1, 16, 33])
@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf])
def test_one_value_makes_its_whole_row_nan(
    kernel: _native.SoftmaxKernel, value: float, cols: int
) -> None:
    x = reference.draw(1, cols, cols)
    np.fill_diagonal(x, value)
    assert (reference.bits(kernel.run(x)) == 0x7FC00000).all()
    x = reference.draw(1, 2, cols)
    x[0] = -np.inf
    given = kernel.run(x)
    assert (reference.bits(given[0]) == 0x7FC00000).all()
    assert np.isfinite(given[1]).all()


def test_extremes_share_a_row(kernel: _native.SoftmaxKernel) -> None:
    x = reference.EXTREMES[np.isfinite(reference.EXTREMES)][None]
    with np.errstate(over="ignore"):
        expected = reference.softmax(x)
    np.testing.assert_array_equal(reference.bits(kernel.run(x)), reference.bits(expected))
    assert kernel.run(x)[0].max() == 1


def test_rows_do_not_depend_on_each_other(kernel: _native.SoftmaxKernel) -> None:
    x = reference.draw(0, 2, 3, 37)
    whole = kernel.run(x)
    assert whole.shape == x.shape
    np.testing.assert_array_equal(reference.bits(kernel.run(x[1, 2])), reference.bits(whole[1, 2]))
    assert kernel.run(x[:, :0]).shape == (2, 0, 37)
    assert kernel.run(np.zeros((3, 0), np.float32)).shape == (3, 0)


def test_what_is_no_row_of_float32_is_refused(kernel: _native.SoftmaxKernel) -> None:
    with pytest.raises(ValueError, match="x must have at least one axis"):
        kernel.run(np.array(1.0, np.float32))
    with pytest.raises(ValueError, match="x must be float32, not float16"):
        kernel.run(np.zeros((2, 2), np.float16))
