"""Layers on the kernels of this processor, as functions of numpy arrays.

A kernel gives the same bits on every processor and for any number of threads, so that what these
functions compute here is what every device computes. `native/KERNELS.md` states the arithmetic.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from lamella import _native
from lamella.errors import LoweringError
from lamella.grids import Quantized
from lamella.runtime.kernels import stored_scale

Array = npt.NDArray[np.float32]
_Item = TypeVar("_Item", bound=np.generic)
Run = Callable[[Array], Array]
Bytes = npt.NDArray[np.uint8]
Seen = npt.NDArray[np.bool_]


def linear(weight: Quantized, bias: Array | None) -> Run:
    """Returns (tokens, cols) -> (tokens, rows) on `linear_a8`.

    Inputs are rounded to 8 bits on the way, with one scale for each token and 32 columns.
    """
    format = weight.format
    zero = None if format.symmetric else weight.grid.zero
    packed = _native.pack_linear(
        weight.codes, stored_scale(weight), zero, format.bits, format.group
    )
    kernel = _native.linear_a8_kernel(format.bits)
    return lambda x: kernel.run(packed, x, bias, pool())


def float_linear(values: Array, bias: Array | None) -> Run:
    """Returns (tokens, cols) -> (tokens, rows) on `linear_f32` for (rows, cols) values."""
    packed, kernel = _native.pack_float(values), _native.linear_float_kernel("f32")
    return lambda x: kernel.run(packed, x, bias, pool=pool())


def static_linear(weight: Quantized, bias: Array | None, grid: tuple[float, int]) -> Run:
    """Returns (tokens, cols) -> (tokens, rows) on `conv2d_a8`; inputs are rounded to `grid`.

    `grid` is the scale and the zero point of the uint8 codes.
    """
    return static_convolution(weight, bias, grid, None, 1)


def static_convolution(
    weight: Quantized,
    bias: Array | None,
    grid: tuple[float, int],
    window: _native.Window | None,
    groups: int,
) -> Run:
    """Returns (images, height, width, channels) -> the same with rows, on integer kernels.

    Without a window the layer is linear. Weights of 2, 3 and 5 bits are computed with as 4 and 6.
    """
    height, width = window.kernel if window else (1, 1)
    bits = next(width for width in (4, 6, 8) if width >= weight.format.bits)
    codes = _channels_last(weight.codes, height, width)
    codes += (1 << (bits - 1)) - weight.format.levels // 2
    scale = np.ascontiguousarray(weight.grid.scale[:, 0], np.float32)
    if window and groups == len(codes) and codes.shape[3] == 1 and bits == 8:
        deep = _native.DepthwiseLayer(
            _native.pack_depthwise(codes[..., 0].copy()), input=grid, scale=scale, bias=bias
        )
        depthwise = _native.depthwise_a8_kernel()
        return lambda x: _real(depthwise.run(deep, _rounded(x, grid), window=window, pool=pool()))
    packed = _native.pack_conv2d(codes, bits, groups)
    layer = _native.Conv2dLayer(packed, input=grid, scale=scale, bias=bias)
    kernel = _native.conv2d_a8_kernel(bits)
    return lambda x: _real(kernel.run(layer, _rounded(x, grid), window=window, pool=pool()))


def float_convolution(
    values: Array, bias: Array | None, window: _native.Window, groups: int
) -> Run:
    """Returns (images, height, width, channels) -> the same with rows, on the float kernels."""
    weight = _channels_last(values, *window.kernel)
    if groups == len(weight) and weight.shape[3] == 1:
        taps = np.ascontiguousarray(weight[..., 0].transpose(1, 2, 0))
        depthwise = _native.depthwise_f32_kernel()
        return lambda x: depthwise.run(taps, window, x, bias, pool=pool())
    packed, kernel = _native.pack_conv2d_f32(weight, groups), _native.conv2d_f32_kernel()
    return lambda x: kernel.run(packed, window, x, bias, pool=pool())


def attention(query: Array, keys: Array, values: Array, seen: Seen, scale: float) -> Array:
    """Returns (tokens, heads, head_dim) like `query`, on `attention` with float32 caches.

    `keys` and `values` are (positions, kv_heads, head_dim), `seen` (tokens, positions) says which
    keys a token sees.

    Raises:
        LoweringError: `seen` is neither the same for all tokens nor causal, with or without a
            sliding window and with keys that none sees.
    """
    k, v = (_native.KvCache(part, part.shape[2]) for part in (keys, values))
    return _native.attention_kernel().run(query, k, v, mask(seen), scale, pool())


def mask(seen: Seen) -> _native.AttentionMask:
    """Returns what the kernel takes for (tokens, positions); raises LoweringError."""
    used: Seen = np.asarray(seen.any(axis=0))
    places = np.arange(seen.shape[1], dtype=np.int32)
    if (seen == used).all():
        return _native.padding_mask(used)
    last = np.where(seen, places, -1).max(axis=1).astype(np.int32)
    first = np.where(seen, places, seen.shape[1]).min(axis=1)
    distance = last[:, None] - places
    for window in (0, int((last - first).max()) + 1):
        if (seen == used & (distance >= 0) & ((window == 0) | (distance < window))).all():
            return _native.causal_mask(last, np.where(used, places, -1).astype(np.int32), window)
    raise LoweringError(
        "the kernels know masks that are causal, that slide, or that hide the same keys from all "
        "tokens; this attention mask is none of them"
    )


def pool() -> _native.ThreadPool:
    """Returns the threads of this process, one for each processor that it may use."""
    return _pool(os.getpid())


@cache
def _pool(_process: int) -> _native.ThreadPool:
    return _native.ThreadPool(_native.usable_processors())


def _channels_last(matrix: npt.NDArray[_Item], height: int, width: int) -> npt.NDArray[_Item]:
    """Returns (rows, channels * height * width) as (rows, height, width, channels)."""
    shaped = matrix.reshape(len(matrix), -1, height, width)
    return np.ascontiguousarray(shaped.transpose(0, 2, 3, 1))


def _rounded(x: Array, grid: tuple[float, int]) -> Bytes:
    scale, zero = np.array([grid[0]], np.float32), np.array([grid[1]], np.uint8)
    return _native.quantize_kernel().quantize(x, scale, zero, pool())


def _real(y: Bytes | Array) -> Array:
    return y.view(np.float32)
