"""Mirrors native/kernels/layernorm: every row of kernels.inc against the reference, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from native.rows import each_kernel

from lamella import _native
from native import reference_float as reference

EPS = 1e-5

kernel = each_kernel(_native.layernorm_kernels())


def parameters(cols: int) -> tuple[reference.Float, reference.Float]:
    return reference.draw(cols + 1, cols), reference.draw(cols + 2, cols)


@pytest.mark.parametrize("cols", reference.LENGTHS)
def test_equals_the_reference(kernel: _native.LayernormKernel, cols: int) -> None:
    weight, bias = parameters(cols)
    for scale, eps in ((2.0, EPS), (1e-3, 1e-12), (1e15, EPS)):
        x = reference.draw(cols, 3, cols, scale=scale) + np.float32(scale)
        expected = reference.layernorm(x, weight, bias, eps)
        np.testing.assert_array_equal(
            reference.bits(kernel.run(x, weight, bias, eps)), reference.bits(expected)
        )


@pytest.mark.parametrize("cols", reference.LENGTHS)
def test_is_near_float64(kernel: _native.LayernormKernel, cols: int) -> None:
    weight, bias = parameters(cols)
    x = reference.draw(cols, 4, cols) + np.float32(3)
    wide = x.astype(np.float64)
    difference = wide - wide.mean(axis=1, keepdims=True)
    variance = (difference**2).mean(axis=1, keepdims=True) + float(np.float32(EPS))
    exact = difference / np.sqrt(variance) * weight + bias
    # In units: the mean is off by its longest chain of additions and a division, relative to the
    # mean size of x. That moves every difference, and the variance by at most twice as much
    # times the deviation; the rest are roundings, as in rmsnorm.
    chain = cols / 16 + 1 + 4
    shift = (chain + 1) * np.abs(wide).mean(axis=1, keepdims=True) / np.sqrt(variance)
    unit = np.abs(difference) / np.sqrt(variance)
    units = shift + unit * (shift + (chain + 3) / 2 + 5)
    error = np.abs(kernel.run(x, weight, bias, EPS) - exact)
    assert (error <= 1.01 * reference.UNIT * (units * np.abs(weight) + np.abs(exact))).all()


@pytest.mark.parametrize("cols", [1, 16, 33])
@pytest.mark.parametrize("value", reference.EXTREMES.tolist())
def test_extremes_give_the_bits_of_the_reference(
    kernel: _native.LayernormKernel, value: float, cols: int
) -> None:
    weight, bias = parameters(cols)
    x = reference.draw(cols, cols, cols)
    np.fill_diagonal(x, value)
    with np.errstate(all="ignore"):
        expected = reference.layernorm(x, weight, bias, EPS)
    expected[np.isnan(expected)] = np.nan
    np.testing.assert_array_equal(
        reference.bits(kernel.run(x, weight, bias, EPS)), reference.bits(expected)
    )


def test_a_constant_row_becomes_the_bias(kernel: _native.LayernormKernel) -> None:
    weight, bias = parameters(32)
    x = np.full((1, 32), 0.75, np.float32)
    np.testing.assert_array_equal(kernel.run(x, weight, bias, EPS)[0], bias)


def test_rows_do_not_depend_on_each_other(kernel: _native.LayernormKernel) -> None:
    weight, bias = parameters(37)
    x = reference.draw(0, 2, 3, 37)
    whole = kernel.run(x, weight, bias, EPS)
    np.testing.assert_array_equal(
        reference.bits(kernel.run(x[1], weight, bias, EPS)), reference.bits(whole[1])
    )
    empty = np.zeros((3, 0), np.float32)
    assert kernel.run(empty, weight[:0], bias[:0], EPS).shape == (3, 0)


def test_wrong_arguments_are_refused(kernel: _native.LayernormKernel) -> None:
    weight, bias = parameters(8)
    x = reference.draw(0, 2, 8)
    with pytest.raises(ValueError, match=r"weight must have the shape \(8,\), not \(1, 8\)"):
        kernel.run(x, weight[None], bias, EPS)
    with pytest.raises(ValueError, match=r"bias must have the shape \(8,\), not \(7,\)"):
        kernel.run(x, weight, bias[:7], EPS)
    with pytest.raises(ValueError, match="eps must be finite and not negative, but it is -1"):
        kernel.run(x, weight, bias, -1.0)
