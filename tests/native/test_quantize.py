"""Mirrors native/kernels/quantize: every row of kernels.inc against numpy, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from native.rows import each_kernel

from lamella import _native
from native import reference_arrays as reference
from native import reference_float

Real = npt.NDArray[np.float32]
DTYPES = (np.uint8, np.int8)


kernel = each_kernel(_native.quantize_kernels())


def check(kernel: _native.QuantizeKernel, x: Real, scale: Real, zero: npt.NDArray[Any]) -> None:
    codes = kernel.quantize(x, scale, zero)
    expected = reference.quantize(x, scale, zero).reshape(x.shape)
    np.testing.assert_array_equal(codes, expected, strict=True)
    given = kernel.dequantize(codes, scale, zero)
    real = reference.dequantize(codes, scale, zero).reshape(x.shape)
    np.testing.assert_array_equal(given.view(np.uint32), real.view(np.uint32), strict=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 2, 3, 8, 15, 16, 17, 24, 33, 48, 100])
def test_each_channel_has_its_grid(
    kernel: _native.QuantizeKernel, channels: int, dtype: type[np.generic]
) -> None:
    for rows in (1, 2, 3, 5, 16, 33):
        scale, zero = reference.draw_grids(channels, channels, dtype)
        check(kernel, reference_float.draw(rows, 2, rows, channels, scale=9.0), scale, zero)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_grid_serves_every_element(
    kernel: _native.QuantizeKernel, dtype: type[np.generic]
) -> None:
    for length in (0, *reference_float.LENGTHS):
        scale, zero = reference.draw_grids(length, 1, dtype)
        fill = reference_float.draw if length % 2 else reference_float.draw_bits
        check(kernel, fill(length, length), scale, zero)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [2.0**-149, 1e-30, 0.1, 1.0, 3e38])
def test_extremes_have_a_code(
    kernel: _native.QuantizeKernel, scale: float, dtype: type[np.generic]
) -> None:
    ends = np.iinfo(dtype)  # type: ignore[type-var]
    grid = np.array([scale], np.float32)
    for at in (ends.min, ends.min + 1, 0, 100, ends.max):
        zero = np.array([at], dtype)
        check(kernel, reference_float.EXTREMES, grid, zero)
        given = kernel.quantize(np.array([np.inf, -np.inf, np.nan], np.float32), grid, zero)
        assert given.tolist() == [ends.max, ends.min, at]


def test_halves_are_rounded_to_even_and_codes_saturate(kernel: _native.QuantizeKernel) -> None:
    x = np.array([0.25, 0.75, 1.25, -0.25, -0.75, -5, -5.25, 122.25, 122.5, 300], np.float32)
    half, ten = np.array([0.5], np.float32), np.array([10], np.uint8)
    assert kernel.quantize(x, half, ten).tolist() == [10, 12, 12, 10, 8, 0, 0, 254, 255, 255]
    lower = np.array([-118], np.int8)
    given = kernel.quantize(x, half, lower)
    assert given.tolist() == [-118, -116, -116, -118, -120, -128, -128, 126, 127, 127]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_code_comes_back(kernel: _native.QuantizeKernel, dtype: type[np.generic]) -> None:
    codes = np.arange(256, dtype=np.uint8).view(dtype).repeat(3).reshape(256, 3)
    scale, zero = reference.draw_grids(1, 3, dtype)
    real = kernel.dequantize(codes, scale, zero)
    # Only the quotient of a product and its factor is rounded, by much less than half a code.
    np.testing.assert_array_equal(kernel.quantize(real, scale, zero), codes, strict=True)
    exact = scale.astype(np.float64) * (codes.astype(np.float64) - zero)
    assert (np.abs(real - exact) <= reference_float.UNIT * np.abs(exact)).all()


def test_the_number_of_threads_changes_nothing(kernel: _native.QuantizeKernel) -> None:
    scale, zero = reference.draw_grids(3, 21, np.int8)
    for rows in (1, 2, 50):
        x = reference_float.draw(rows, rows, 21)
        codes = kernel.quantize(x, scale, zero)
        real = kernel.dequantize(codes, scale, zero).tobytes()
        for threads in (1, 2, 3, 4):
            pool = _native.ThreadPool(threads)
            assert kernel.quantize(x, scale, zero, pool).tobytes() == codes.tobytes()
            assert kernel.dequantize(codes, scale, zero, pool).tobytes() == real


@pytest.mark.parametrize("shape", [(), (3, 0), (0, 1), (2, 1)])
def test_any_shape_is_kept(kernel: _native.QuantizeKernel, shape: tuple[int, ...]) -> None:
    check(kernel, np.full(shape, 1.5, np.float32), *reference.draw_grids(0, 1, np.uint8))


def test_arguments_that_do_not_fit_are_refused(kernel: _native.QuantizeKernel) -> None:
    x = reference_float.draw(0, 4, 6)
    scale, zero = reference.draw_grids(0, 6, np.uint8)
    for change, sentence in (
        ({"x": x.astype(np.float16)}, "x must be float32, not float16; convert it"),
        ({"x": x.T}, r"x of shape \(6, 4\) is not contiguous"),
        ({"scale": scale.astype(np.float64)}, "scale must be float32, not float64"),
        ({"scale": scale[:4].copy()}, r"scale must have the shape \(6,\), not \(4,\)"),
        ({"scale": scale[:1].reshape(1, 1)}, r"scale must have the shape \(6,\), not \(1, 1\)"),
        ({"scale": -scale}, "the scale of channel 0 must be positive and finite, not -"),
        (
            {"scale": scale * np.float32(np.inf)},
            "of channel 0 must be positive and finite, not inf",
        ),
        ({"zero": zero.astype(np.int32)}, "zero must be uint8, not int32"),
        ({"zero": zero[:1]}, r"zero must have the shape \(6,\), not \(1,\)"),
    ):
        with pytest.raises(ValueError, match=sentence):
            kernel.quantize(**{"x": x, "scale": scale, "zero": zero, **change})
    with pytest.raises(ValueError, match="codes must be uint8, not int8"):
        kernel.dequantize(np.zeros((2, 6), np.int8), scale, zero)
    with pytest.raises(ValueError, match="codes must be uint8, not float32"):
        kernel.dequantize(x, scale, zero)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"codes of shape \(2, 6\) is not contiguous"):
        kernel.dequantize(np.zeros((2, 12), np.uint8)[:, ::2], scale, zero)
