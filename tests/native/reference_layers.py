"""The float layers of native/KERNELS.md, written with whole float32 arrays.

Every step rounds where the contract says; a NaN is 0x7fc00000.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from native.reference_float import Float, fused
from native.reference_linear import Weight

from native import reference_float

Places = npt.NDArray[np.intp]

# In the order of native/kernels/math/activations.inc.
ACTIVATIONS: dict[str, Callable[[Float], Float]] = {
    "none": lambda x: x,
    "relu": reference_float.relu,
    "gelu": reference_float.gelu,
    "silu": reference_float.silu,
    "gelu_tanh": reference_float.gelu_tanh,
    "sigmoid": reference_float.sigmoid,
    "hard_swish": reference_float.hard_swish,
}


def one_nan(values: Float) -> Float:
    """Returns the values with one pattern for every NaN."""
    return np.where(np.isnan(values), np.float32(np.nan), values)


def decode(weight: Weight) -> Float:
    """Returns the (rows, cols) float32 weights: scale * float(code - zero), rounded once."""
    rows, cols = weight.codes.shape
    grids = np.arange(cols) // (weight.group or max(cols, 1))
    scale = weight.scale.astype(np.float32)[:, grids]
    steps = weight.codes.astype(np.int64) - weight.zeros()[:, grids]
    return (scale * steps.astype(np.float32)).reshape(rows, cols)


def linear(weight: Float, x: Float, bias: Float | None, activation: str) -> Float:
    """Returns (tokens, rows) for a (rows, cols) weight and x (tokens, cols)."""
    y = np.zeros((len(x), len(weight)), np.float32)
    with np.errstate(all="ignore"):
        for col in range(weight.shape[1]):
            y = fused(x[:, col, None], weight[None, :, col], y)
        if bias is not None:
            y = y + bias
        return one_nan(ACTIVATIONS[activation](y))


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a window; tap t of output i lies at i * stride + t * dilation - before."""

    kernel: int
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1

    def outputs(self, size: int) -> int:
        """Returns how many windows an axis of inputs has."""
        padded = size + self.before + self.after
        return (padded - (self.kernel - 1) * self.dilation - 1) // self.stride + 1

    def inputs(self, size: int, tap: int) -> tuple[Places, Places]:
        """Returns the outputs whose tap lies inside, and where it lies."""
        outputs = np.arange(self.outputs(size))
        places = outputs * self.stride + tap * self.dilation - self.before
        inside = (places >= 0) & (places < size)
        return outputs[inside], places[inside]


Taps = Iterator[tuple[int, int, tuple[Places, Places], Float]]


def taps(down: Axis, across: Axis, x: Float) -> Taps:
    """Yields each tap, the outputs that have it, and what they find there."""
    for ky in range(down.kernel):
        rows, lines = down.inputs(x.shape[1], ky)
        for kx in range(across.kernel):
            cols, places = across.inputs(x.shape[2], kx)
            yield ky, kx, np.ix_(rows, cols), x[:, lines[:, None], places[None, :]]


def sums(down: Axis, across: Axis, x: Float, channels: int) -> Float:
    """Returns zeros of the shape of an output."""
    shape = (len(x), down.outputs(x.shape[1]), across.outputs(x.shape[2]), channels)
    return np.zeros(shape, np.float32)


def bounded(y: Float, bias: Float | None, low: float, high: float) -> Float:
    """Returns y + bias, kept between two bounds; a NaN stays one."""
    y = y if bias is None else y + bias
    y = np.where(y < np.float32(low), np.float32(low), y)
    return one_nan(np.where(y > np.float32(high), np.float32(high), y))


def convolve(weight: Float, groups: int, down: Axis, across: Axis, x: Float) -> Float:
    """Returns the sums for a weight (outputs, ky, kx, channels / groups)."""
    y = sums(down, across, x, len(weight))
    rows, inputs = len(weight) // groups, weight.shape[3]
    with np.errstate(all="ignore"):
        for ky, kx, (lines, cols), found in taps(down, across, x):
            for output in range(len(weight)):
                first = output // rows * inputs
                for c in range(inputs):
                    y[:, lines, cols, output] = fused(
                        found[..., first + c], weight[output, ky, kx, c], y[:, lines, cols, output]
                    )
    return y


def depthwise(weight: Float, down: Axis, across: Axis, x: Float) -> Float:
    """Returns the sums for a weight (ky, kx, channels)."""
    y = sums(down, across, x, x.shape[3])
    with np.errstate(all="ignore"):
        for ky, kx, (lines, cols), found in taps(down, across, x):
            y[:, lines, cols] = fused(found, weight[ky, kx], y[:, lines, cols])
    return y


def average(down: Axis, across: Axis, x: Float, *, with_padding: bool) -> Float:
    """Returns the averages of windows."""
    y = sums(down, across, x, x.shape[3])
    count = np.zeros(y.shape[1:3], np.float32)
    with np.errstate(all="ignore"):
        for _, _, (lines, cols), found in taps(down, across, x):
            y[:, lines, cols] += found
            count[lines, cols] += 1
        if with_padding:
            count[:] = down.kernel * across.kernel
        return one_nan(y / count[:, :, None])


def maximum(down: Axis, across: Axis, x: Float) -> Float:
    """Returns the largest of windows; a NaN is passed over."""
    y = sums(down, across, x, x.shape[3]) - np.float32(np.inf)
    for _, _, (lines, cols), found in taps(down, across, x):
        here = y[:, lines, cols]
        y[:, lines, cols] = np.where(found > here, found, here)
    return y
