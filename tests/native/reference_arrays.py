"""The contracts of native/kernels/quantize with whole numpy arrays.

Shapes: `scale` and `zero` are (1) or one for each element of the last axis.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Real = npt.NDArray[np.float32]
Codes = npt.NDArray[Any]  # uint8 or int8


def quantize(x: Real, scale: Real, zero: Codes) -> Codes:
    """Returns round(x / scale) + zero within the range of the codes; NaN counts as 0."""
    with np.errstate(all="ignore"):
        steps = np.divide(x, scale, dtype=np.float32)
    nearest = np.rint(np.where(np.isnan(steps), 0, steps).astype(np.float64)) + zero
    ends = np.iinfo(zero.dtype)
    codes: Codes = np.clip(nearest, ends.min, ends.max).astype(zero.dtype)
    return codes


def dequantize(codes: Codes, scale: Real, zero: Codes) -> Real:
    """Returns scale * (code - zero), rounded once."""
    with np.errstate(over="ignore"):
        return scale * (codes.astype(np.float32) - zero.astype(np.float32))


def draw_grids(seed: int, channels: int, dtype: Any) -> tuple[Real, Codes]:
    """Returns scales and zero points, of any codes."""
    generator = np.random.default_rng(seed)
    zero: Codes = generator.integers(0, 256, channels, dtype=np.uint8).view(dtype)
    return generator.uniform(0.01, 0.5, channels).astype(np.float32), zero
