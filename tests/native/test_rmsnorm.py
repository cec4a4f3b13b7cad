"""Mirrors native/kernels/rmsnorm: every row of kernels.inc against the reference, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from native.rows import each_kernel

from lamella import _native
from native import reference_float as reference

EPS = 1e-5

kernel = each_kernel(_native.rmsnorm_kernels())


@pytest.mark.parametrize("cols", reference.LENGTHS)
def test_equals_the_reference(kernel: _native.RmsnormKernel, cols: int) -> None:
    weight = reference.draw(cols + 1, cols)
    for scale, eps in ((2.0, EPS), (1e-20, 0.0), (1e-3, 1e-6), (1e15, EPS)):
        x = reference.draw(cols, 3, cols, scale=scale)
        with np.errstate(divide="ignore", under="ignore", over="ignore"):
            expected = reference.rmsnorm(x, weight, eps)
        np.testing.assert_array_equal(
            reference.bits(kernel.run(x, weight, eps)), reference.bits(expected)
        )


@pytest.mark.parametrize("cols", reference.LENGTHS)
def test_is_near_float64(kernel: _native.RmsnormKernel, cols: int) -> None:
    x, weight = reference.draw(cols, 4, cols), reference.draw(cols + 1, cols)
    eps = float(np.float32(EPS))
    wide = x.astype(np.float64)
    exact = wide / np.sqrt((wide**2).mean(axis=1, keepdims=True) + eps) * weight
    # In units: half of what the sum (its longest chain of additions), the division by cols and
    # the addition of eps are off by, then the root, the reciprocal and two products.
    units = (cols / 16 + 1 + 4 + 2) / 2 + 4
    error = np.abs(kernel.run(x, weight, EPS) - exact)
    assert (error <= 1.01 * reference.UNIT * units * np.abs(exact)).all()


@pytest.mark.parametrize("cols", [1, 16, 33])
@pytest.mark.parametrize("value", reference.EXTREMES.tolist())
def test_extremes_give_the_bits_of_the_reference(
    kernel: _native.RmsnormKernel, value: float, cols: int
) -> None:
    x, weight = reference.draw(cols, cols, cols), reference.draw(1, cols)
    np.fill_diagonal(x, value)
    with np.errstate(all="ignore"):
        expected = reference.rmsnorm(x, weight, EPS)
    expected[np.isnan(expected)] = np.nan
    np.testing.assert_array_equal(
        reference.bits(kernel.run(x, weight, EPS)), reference.bits(expected)
    )


def test_rows_whose_squares_overflow_become_zero(kernel: _native.RmsnormKernel) -> None:
    x = np.full((1, 20), 3e38, np.float32)
    assert (kernel.run(x, np.ones(20, np.float32), EPS) == 0).all()


def test_rows_do_not_depend_on_each_other(kernel: _native.RmsnormKernel) -> None:
    x, weight = reference.draw(0, 2, 3, 37), reference.draw(1, 37)
    whole = kernel.run(x, weight, EPS)
    np.testing.assert_array_equal(
        reference.bits(kernel.run(x[1], weight, EPS)), reference.bits(whole[1])
    )
    assert kernel.run(np.zeros((3, 0), np.float32), weight[:0], EPS).shape == (3, 0)


def test_wrong_arguments_are_refused(kernel: _native.RmsnormKernel) -> None:
    x, weight = reference.draw(0, 2, 8), reference.draw(1, 8)
    with pytest.raises(ValueError, match=r"weight must have the shape \(8,\), not \(7,\)"):
        kernel.run(x, weight[:7], EPS)
    with pytest.raises(ValueError, match="weight must be float32, not float64"):
        kernel.run(x, weight.astype(np.float64), EPS)
    for eps in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="eps must be finite and not negative"):
            kernel.run(x, weight, eps)
