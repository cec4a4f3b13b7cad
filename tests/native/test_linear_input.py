"""Mirrors native/kernels/linear_input: every row of kernels.inc against numpy, bit for bit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from native.rows import each_kernel

from lamella import _native
from native import reference_linear as reference

Real = npt.NDArray[np.float32]

LEAST = np.float32(2.0**-120)
LARGEST = np.finfo(np.float32).max

kernel = each_kernel(_native.linear_input_kernels())


def check(kernel: _native.LinearInputKernel, x: Real) -> None:
    """Compares codes, scales and sums, and that what follows the last block is not written."""
    codes, scale, total, half = kernel.run(x)
    expected, expected_scale = reference.quantize(x)
    blocks = expected.shape[1]
    flat = expected.reshape(len(x), blocks * 32)
    np.testing.assert_array_equal(codes[:, : blocks * 32], flat)
    assert not codes[:, blocks * 32 :].any()
    np.testing.assert_array_equal(scale.T.view(np.uint32), expected_scale.view(np.uint32))
    np.testing.assert_array_equal(total.T, expected.sum(axis=2))
    np.testing.assert_array_equal(half.T, expected[:, :, :16].sum(axis=2))


@pytest.mark.parametrize("cols", [0, 1, 7, 8, 31, 32, 33, 63, 64, 65, 96, 100, 576])
@pytest.mark.parametrize("tokens", [0, 1, 3])
def test_equals_the_reference(kernel: _native.LinearInputKernel, tokens: int, cols: int) -> None:
    generator = np.random.default_rng(cols)
    check(kernel, generator.standard_normal((tokens, cols), np.float32))


def test_any_float_equals_the_reference(kernel: _native.LinearInputKernel) -> None:
    generator = np.random.default_rng(3)
    bits = generator.integers(0, 2**32, (400, 96), dtype=np.uint32)
    # Blocks of one exponent, so that most codes are not 0; 400 tokens meet all exponents.
    exponent = generator.integers(0, 256, (400, 1), dtype=np.uint32) << 23
    check(kernel, (bits & np.uint32(0x807FFFFF) | exponent).view(np.float32))


def test_ties_are_rounded_to_even(kernel: _native.LinearInputKernel) -> None:
    x = np.zeros((1, 32), np.float32)
    x[0, :6] = (127, 0.5, 1.5, 2.5, -0.5, -3.5)
    codes, scale, total, _ = kernel.run(x)
    assert codes[0, :6].tolist() == [127, 0, 2, 2, 0, -4]
    assert (scale[0, 0], total[0, 0]) == (1, 127)


@pytest.mark.parametrize("largest", [0.0, -0.0, 1e-45, 1e-38, np.nextafter(LEAST, 0)])
def test_a_block_that_is_nearly_zero_has_scale_0(
    kernel: _native.LinearInputKernel, largest: float
) -> None:
    codes, scale, total, _ = kernel.run(np.full((1, 32), largest, np.float32))
    assert not codes.any()
    assert scale[0, 0].view(np.uint32) == 0
    assert total[0, 0] == 0


@pytest.mark.parametrize("largest", [LEAST, np.float32(1), LARGEST])
def test_the_largest_magnitude_has_the_code_127(
    kernel: _native.LinearInputKernel, largest: np.float32
) -> None:
    x = np.zeros((1, 64), np.float32)
    x[0, 40], x[0, 50] = largest, -largest
    codes, scale, *_ = kernel.run(x)
    assert (codes[0, 40], codes[0, 50]) == (127, -127)
    assert scale[1, 0] == largest / np.float32(127)


@pytest.mark.parametrize("wrong", [np.inf, -np.inf, np.nan])
def test_a_block_that_is_not_finite_has_the_scale_nan(
    kernel: _native.LinearInputKernel, wrong: float
) -> None:
    x = np.ones((2, 64), np.float32)
    x[1, 33] = wrong
    codes, scale, *_ = kernel.run(x)
    assert np.isnan(scale).tolist() == [[False, False], [False, True]]
    assert not codes[1, 32:64].any()
    assert (codes[1, :32] == 127).all()


def test_arrays_of_another_kind_are_refused(kernel: _native.LinearInputKernel) -> None:
    with pytest.raises(ValueError, match="x must be float32, not float64"):
        kernel.run(np.zeros((1, 32)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="x must have 2 dimensions"):
        kernel.run(np.zeros(32, np.float32))
