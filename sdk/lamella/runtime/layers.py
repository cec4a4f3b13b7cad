"""Layers on the kernels of this processor, as functions of numpy arrays.

A kernel gives the same bits on every processor and for any number of threads, so that what these
functions compute here is what every device computes. `native/KERNELS.md` states the arithmetic.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from lamella import _native
from lamella.errors import LoweringError
from lamella.grids import Quantized
from lamella.runtime.kernels import stored_scale

Array = npt.NDArray[np.float32]
_Item = TypeVar("_Item", bound=np.generic)
Run = Callable[[Array], Array]
Halves = npt.NDArray[np.float16]
Bytes = npt.NDArray[np.uint8]
Seen = npt.NDArray[np.bool_]
Scales = tuple[float, int]
DepthwiseLayer = _native.DepthwiseLayer
StaticLayer = _native.Conv2dLayer | DepthwiseLayer


@dataclass(frozen=True, slots=True)
class Ending:
    """What follows the sums of a layer on static codes: `native/kernels/static/epilogue.h`.

    `output` and `residual` are grids; with `output` the layer gives codes, and `low` and `high` are
    codes too.
    """

    bias: Array | None = None
    output: Scales | None = None
    residual: Scales | None = None
    low: float | None = None
    high: float | None = None
    activation: str = "none"


def linear(weight: Quantized, bias: Array | None) -> Run:
    """Returns (tokens, cols) -> (tokens, rows) on `linear_a8`.

    Inputs are rounded to 8 bits on the way, with one scale for each token and 32 columns.
    """
    packed, kernel = pack_linear(weight), _native.linear_a8_kernel(weight.format.bits)
    return lambda x: kernel.run(packed, x, bias, pool())


def pack_linear(weight: Quantized) -> _native.LinearWeight:
    """Returns (rows, cols) codes as `linear_a8` and `embed` read them."""
    format = weight.format
    zero = None if format.symmetric else weight.grid.zero
    return _native.pack_linear(weight.codes, stored_scale(weight), zero, format.bits, format.group)


def float_linear(values: Array, bias: Array | None) -> Run:
    """Returns (tokens, cols) -> (tokens, rows) on `linear_f32` for (rows, cols) values."""
    packed, kernel = _native.pack_float(values), _native.linear_float_kernel("f32")
    return lambda x: kernel.run(packed, x, bias, pool=pool())


def pack_float(values: Halves | Array) -> Halves | Array:
    """Returns (rows, cols) float16 or float32 numbers as `linear_float` reads them."""
    return _native.pack_float(values).values


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

    Without a window the layer is linear.
    """
    layer = pack_static(weight, grid, window.kernel if window else (1, 1), groups, Ending(bias))
    if isinstance(layer, _native.DepthwiseLayer):
        depthwise = _native.depthwise_a8_kernel()
        return lambda x: _real(depthwise.run(layer, _rounded(x, grid), window=window, pool=pool()))
    kernel = _native.conv2d_a8_kernel(layer.weight.bits)
    return lambda x: _real(kernel.run(layer, _rounded(x, grid), window=window, pool=pool()))


def pack_static(
    weight: Quantized, grid: Scales, kernel: Sequence[int], groups: int, ending: Ending
) -> StaticLayer:
    """Returns a layer whose inputs are codes on `grid`, for `conv2d_a8` or `depthwise_a8`.

    A kernel of one pixel is a linear layer, too. Weights of 2, 3 and 5 bits are computed with as 4
    and 6.
    """
    bits = next(width for width in (4, 6, 8) if width >= weight.format.bits)
    codes = _channels_last(weight.codes, kernel)
    codes += (1 << (bits - 1)) - weight.format.levels // 2
    scale = np.ascontiguousarray(weight.grid.scale[:, 0], np.float32)
    rest: dict[str, Any] = {"input": grid, "scale": scale, **asdict(ending)}
    if groups > 1 and groups == len(codes) and codes.shape[3] == 1 and bits == 8:
        return _native.DepthwiseLayer(_native.pack_depthwise(codes[..., 0].copy()), **rest)
    return _native.Conv2dLayer(_native.pack_conv2d(codes, bits, groups), **rest)


def float_convolution(
    values: Array, bias: Array | None, window: _native.Window, groups: int
) -> Run:
    """Returns (images, height, width, channels) -> the same with rows, on the float kernels."""
    packed = pack_convolution(values, window.kernel, groups)
    if not isinstance(packed, _native.Conv2dF32Weight):
        depthwise = _native.depthwise_f32_kernel()
        return lambda x: depthwise.run(packed, window, x, bias, pool=pool())
    kernel = _native.conv2d_f32_kernel()
    return lambda x: kernel.run(packed, window, x, bias, pool=pool())


def pack_convolution(
    values: Array, kernel: Sequence[int], groups: int
) -> _native.Conv2dF32Weight | Array:
    """Returns float weights for `conv2d_f32`, or an array for `depthwise_f32`."""
    weight = _channels_last(values, kernel)
    if groups == len(weight) and weight.shape[3] == 1:
        return np.ascontiguousarray(weight[..., 0].transpose(1, 2, 0))
    return _native.pack_conv2d_f32(weight, groups)


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


def _channels_last(matrix: npt.NDArray[_Item], kernel: Sequence[int]) -> npt.NDArray[_Item]:
    """Returns (rows, channels * height * width) as (rows, height, width, channels)."""
    shaped = matrix.reshape(len(matrix), -1, *kernel)
    return np.ascontiguousarray(shaped.transpose(0, 2, 3, 1))


def _rounded(x: Array, grid: tuple[float, int]) -> Bytes:
    scale, zero = np.array([grid[0]], np.float32), np.array([grid[1]], np.uint8)
    return _native.quantize_kernel().quantize(x, scale, zero, pool())


def _real(y: Bytes | Array) -> Array:
    return y.view(np.float32)
