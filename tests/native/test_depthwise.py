"""Mirrors native/kernels/depthwise_a8: every row of kernels.inc against numpy, bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from native.reference_static import Bytes, Layer, Window, draw, draw_codes
from native.rows import each_kernel
from native.windows import window_of

from lamella import _native
from native import reference_static as reference

SAME = {3: (1, 1, 1, 1), 5: (2, 2, 2, 2)}

kernel = each_kernel(_native.depthwise_a8_kernels())


def draw_layer(seed: int, channels: int, height: int, width: int) -> Layer:
    return draw(seed, (channels, height, width, 1), 8, channels)


def pack(layer: Layer) -> _native.DepthwiseLayer:
    weight = _native.pack_depthwise(layer.codes[..., 0].copy())
    return _native.DepthwiseLayer(weight, **layer.arguments())


def check(
    kernel: _native.DepthwiseKernel,
    layer: Layer,
    x: Bytes,
    window: Window,
    residual: Bytes | None = None,
) -> None:
    y = kernel.run(pack(layer), x, residual, window=window_of(layer, window))
    expected = reference.conv2d(layer, x, window, residual)
    assert y.dtype == expected.dtype
    np.testing.assert_array_equal(y.view(np.uint8), expected.view(np.uint8), strict=True)


@pytest.mark.parametrize("channels", [1, 8, 15, 16, 17, 24, 40, 63, 64, 144])
@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_equals_the_reference(
    kernel: _native.DepthwiseKernel, channels: int, size: int, stride: int
) -> None:
    for seed in (channels, channels + 1):
        layer = draw_layer(seed, channels, size, size)
        window = Window((stride, stride), SAME[size])
        check(kernel, layer, draw_codes(seed, 2, 7, 8, channels), window)


@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (0, 1, 2, 3), (3, 0, 0, 1), (7, 7, 7, 7)])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 3), (5, 2), (7, 7)])
def test_any_kernel_and_padding_equal_the_reference(
    kernel: _native.DepthwiseKernel, shape: tuple[int, int], padding: tuple[int, int, int, int]
) -> None:
    layer = draw_layer(3, 19, *shape)
    check(kernel, layer, draw_codes(3, 1, 7, 9, 19), Window((1, 2), padding))


def test_a_dilated_kernel_equals_the_reference(kernel: _native.DepthwiseKernel) -> None:
    layer = draw_layer(4, 32, 3, 3)
    check(kernel, layer, draw_codes(4, 1, 9, 9, 32), Window((1, 1), (2, 3, 2, 3), (2, 3)))


@pytest.mark.parametrize("zero", [0, 128, 255])
@pytest.mark.parametrize("code", [0, 255])
def test_the_largest_sums_are_exact(kernel: _native.DepthwiseKernel, code: int, zero: int) -> None:
    codes = np.zeros((20, 5, 5, 1), np.uint8)
    codes[::2] = 255
    layer = Layer(codes, 8, 20, (1.0, zero), np.ones(20, np.float32))
    x = np.full((1, 6, 6, 20), code, np.uint8)
    check(kernel, layer, x, Window((1, 1), SAME[5]))


@pytest.mark.parametrize("seed", [4, 5])
def test_residual_bias_and_bounds_are_applied(kernel: _native.DepthwiseKernel, seed: int) -> None:
    layer = draw_layer(seed, 24, 3, 3)
    x, residual = draw_codes(seed, 1, 5, 5, 24), draw_codes(seed + 1, 1, 3, 3, 24)
    check(kernel, replace(layer, residual=(0.01, 30)), x, Window(), residual)
    check(kernel, replace(layer, low=3, high=6), x, Window())
    bias = np.arange(24, dtype=np.int32) * 1000 - 12000
    check(kernel, replace(layer, bias=bias), x, Window())


@pytest.mark.parametrize("activation", ["gelu", "silu", "gelu_tanh", "sigmoid", "hard_swish"])
def test_an_activation_follows_the_sums(kernel: _native.DepthwiseKernel, activation: str) -> None:
    for seed, channels in ((8, 17), (9, 24)):  # codes, then float32
        layer = replace(draw_layer(seed, channels, 3, 3), activation=activation)
        x, residual = draw_codes(seed, 1, 6, 5, channels), draw_codes(seed + 1, 1, 4, 3, channels)
        check(kernel, layer, x, Window())
        check(kernel, replace(layer, residual=(0.02, 90)), x, Window(), residual)


def test_the_number_of_threads_changes_nothing(kernel: _native.DepthwiseKernel) -> None:
    packed, x = pack(draw_layer(6, 40, 3, 3)), draw_codes(6, 1, 9, 9, 40)
    expected = kernel.run(packed, x).tobytes()
    for threads in (1, 2, 3, 4):
        pool = _native.ThreadPool(threads)
        assert all(kernel.run(packed, x, pool=pool).tobytes() == expected for _ in range(5))


def test_weights_are_stored_two_taps_at_a_time() -> None:
    codes = np.arange(128, 128 + 6, dtype=np.uint8).reshape(2, 1, 3)
    weight = _native.pack_depthwise(codes)
    assert weight.codes.shape == (2, 16, 2)
    assert weight.codes[:, :2].tolist() == [[[0, 1], [3, 4]], [[2, 0], [5, 0]]]
    assert not weight.codes[:, 2:].any()
    assert weight.sum.tolist() == [3, 12] + 14 * [0]
    stored = _native.DepthwiseWeight(2, (1, 3), weight.codes, weight.sum)
    assert stored.codes is weight.codes
    with pytest.raises(ValueError, match=r"codes must have the shape \(3, 16, 2\)"):
        _native.DepthwiseWeight(2, (1, 5), weight.codes, weight.sum)


def test_inputs_that_do_not_fit_are_refused(kernel: _native.DepthwiseKernel) -> None:
    packed = pack(draw_layer(1, 8, 3, 3))
    x = draw_codes(1, 1, 6, 6, 8)
    with pytest.raises(ValueError, match="x must be uint8, not int8"):
        kernel.run(packed, x.view(np.int8))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"x must have the shape \(1, 6, 6, 8\), not .*9\)"):
        kernel.run(packed, draw_codes(1, 1, 6, 6, 9))
    with pytest.raises(ValueError, match="does not fit a width of 2 with its padding"):
        kernel.run(packed, x[:, :, :2].copy())
    with pytest.raises(ValueError, match="codes must have 3 dimensions"):
        _native.pack_depthwise(np.zeros((2, 3), np.uint8))
