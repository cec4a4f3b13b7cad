"""Bias correction: gives back the mean of a layer's output that rounding its weights moved.

Source: Nagel et al. 2019, arXiv:1906.04721 (DFQ), section 4.2: b += E[W x] - E[decoded W x].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lamella.calibration.patches import Window
from lamella.compression.quantize.problem import Problem, row_losses
from lamella.grids import Real

Double = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Input:
    """The mean of what a layer reads: (channels,), and for a convolution how it walks over it.

    `size` is (height, width) of the images that the model was traced with.
    """

    mean: Real
    window: Window | None = None
    size: tuple[int, int] = (1, 1)


def shift(problem: Problem, decoded: Real, seen: Input) -> Real:
    """Returns what to add to the bias, (rows,) float32.

    The mean of a linear layer's input is exact. That of a convolution is the mean of each channel
    times the share of positions where the tap falls on the image and not on zero padding, as if
    the border looked like the rest. Where that would make a row worse, because a mean output
    error beyond the root of its mean square contradicts the second moment, the row is left alone.
    """
    mean = columns(seen)
    change = (problem.weight.astype(np.float64) - decoded).reshape(len(mean), -1, mean.shape[1])
    moved = np.einsum("prc,pc->pr", change, mean).reshape(-1)
    if problem.moment is not None:
        moved[moved**2 > row_losses(problem, decoded) * (1 + 1e-6)] = 0
    shifted: Real = moved.astype(np.float32)
    return shifted


def columns(seen: Input) -> Double:
    """Returns the mean of every column of the layer's (rows, cols) weight, (problems, cols)."""
    mean = seen.mean.astype(np.float64)
    window = seen.window
    if window is None:
        return mean[None]
    shares = []
    for axis in (0, 1):
        size, pad = seen.size[axis], window.padding[axis]
        taps = np.arange(window.kernel[axis]) * window.dilation[axis] - pad
        last = size + pad - taps[-1]
        places = np.arange(0, max(last, 1), window.stride[axis])[:, None] + taps
        shares.append(((places >= 0) & (places < size)).mean(axis=0))
    share = np.outer(*shares).reshape(-1)
    spread: Double = mean.reshape(window.groups, -1, 1) * share
    return spread.reshape(window.groups, -1)
