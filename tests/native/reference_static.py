"""The contract of native/kernels/static, conv2d_a8 and depthwise_a8 with whole numpy arrays.

Sums are exact in float64, whose integers reach 2^53. Shapes: codes (rows, height, width, cols)
uint8, with cols channels of a group; x (batch, height, width, channels) uint8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from native.reference_layers import ACTIVATIONS
from native.reference_linear import fma

Bytes = npt.NDArray[np.uint8]
Real = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]
Grid = tuple[float, int]


@dataclass(frozen=True, slots=True)
class Window:
    """How a kernel moves: `padding` is above, left, below, right."""

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer before packing; the fields are those of `_native.Conv2dLayer`."""

    codes: Bytes
    bits: int
    groups: int
    input: Grid
    scale: Real
    bias: npt.NDArray[np.int32] | Real | None = None
    output: Grid | None = None
    residual: Grid | None = None
    low: float | None = None
    high: float | None = None
    activation: str = "none"

    def arguments(self) -> dict[str, Any]:
        """Returns what the constructor of a layer takes, but for the weight."""
        names = ("input", "scale", "bias", "output", "residual", "low", "high")
        names += ("activation",)
        return {name: getattr(self, name) for name in names}


def sums(layer: Layer, x: Bytes, window: Window) -> Wide:
    """Returns the exact (batch, height, width, rows) sums, without a bias."""
    top, left, below, right = window.padding
    real = x.astype(np.float64) - layer.input[1]
    padded = np.pad(real, ((0, 0), (top, below), (left, right), (0, 0)))
    rows, height, width, cols = layer.codes.shape
    weight = layer.codes.astype(np.float64) - (1 << (layer.bits - 1))
    reach = [(size - 1) * step for size, step in zip((height, width), window.dilation, strict=True)]
    total: Any = 0
    for tap in np.ndindex(height, width):
        y, x_ = (at * step for at, step in zip(tap, window.dilation, strict=True))
        lines = padded[:, y : padded.shape[1] - reach[0] + y : window.stride[0]]
        pixels = lines[:, :, x_ : padded.shape[2] - reach[1] + x_ : window.stride[1]]
        grouped = pixels.reshape(*pixels.shape[:3], layer.groups, cols)
        kernel = weight[:, tap[0], tap[1]].reshape(layer.groups, rows // layer.groups, cols)
        total = total + np.einsum("bhwgc,grc->bhwgr", grouped, kernel)
    return np.asarray(total).reshape(*total.shape[:3], rows)


def epilogue(layer: Layer, exact: Wide, residual: Bytes | None) -> Bytes | Real:
    """Returns the output for exact (..., rows) sums."""
    unit = 1.0 if layer.output is None else layer.output[0]
    after = np.float32(1 / unit)
    if layer.activation != "none":
        unit = 1.0
    step = (layer.input[0] * layer.scale.astype(np.float64) / unit).astype(np.float32)
    bias = np.zeros(len(step), np.float32)
    if layer.bias is not None and layer.bias.dtype == np.int32:
        exact = exact + layer.bias
    elif layer.bias is not None:
        bias = (layer.bias.astype(np.float64) / unit).astype(np.float32)
    assert (np.abs(exact) < 2.0**31).all()
    t = fma(exact.astype(np.float32), np.broadcast_to(step, exact.shape), bias)
    if layer.residual is not None and residual is not None:
        other = residual.astype(np.float32) - np.float32(layer.residual[1])
        t = fma(other, np.full_like(t, layer.residual[0] / unit), t)
    if layer.activation != "none":
        with np.errstate(over="ignore"):
            t = ACTIVATIONS[layer.activation](t) * after
    if layer.output is None:
        low, high = (np.float32(end or 0) for end in (layer.low, layer.high))
        t = t if layer.low is None else np.where(t < low, low, t)
        return t if layer.high is None else np.where(t > high, high, t)
    zero = layer.output[1]
    low, high = layer.low or 0, 255 if layer.high is None else layer.high
    return np.clip(np.rint(t.astype(np.float64)) + zero, low, high).astype(np.uint8)


def conv2d(layer: Layer, x: Bytes, window: Window, residual: Bytes | None = None) -> Bytes | Real:
    """Returns (batch, height, width, rows), codes where the layer has an output grid."""
    return epilogue(layer, sums(layer, x, window), residual)


def linear(layer: Layer, x: Bytes, residual: Bytes | None = None) -> Bytes | Real:
    """Returns (tokens, rows) for x (tokens, cols)."""
    return epilogue(layer, sums(layer, x[:, None, None], Window())[:, 0, 0], residual)


def draw(seed: int, shape: tuple[int, int, int, int], bits: int, groups: int = 1) -> Layer:
    """Returns a layer with a float bias and, for even seeds, an output in codes."""
    generator = np.random.default_rng(seed)
    rows, size = shape[0], shape[1] * shape[2] * shape[3]
    scale = generator.uniform(0.001, 0.002, rows).astype(np.float32)
    reach = 0.02 * 0.0015 * 70 * (1 << (bits - 1)) * size**0.5
    output = (float(reach / 64), int(generator.integers(0, 256))) if seed % 2 == 0 else None
    return Layer(
        generator.integers(0, 1 << bits, shape, dtype=np.uint8),
        bits,
        groups,
        (0.02, int(generator.integers(0, 256))),
        scale,
        generator.uniform(-reach, reach, rows).astype(np.float32),
        output,
    )


def draw_codes(seed: int, *shape: int) -> Bytes:
    """Returns uint8 codes, the extremes among them."""
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, 256, shape, dtype=np.uint8)
    return np.where(generator.random(shape) < 0.1, np.uint8(255 * (seed % 2)), codes)
