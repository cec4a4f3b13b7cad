"""Integer grids: the affine map between real weights and n-bit codes, in numpy.

Source: Jacob et al. 2018, arXiv:1712.05877, section 2.1: real = scale * (code - zero).
This module is the reference: kernels, graphs and simulations must give the same real numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from lamella.formats import Format

Real = npt.NDArray[np.float32]
Code = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Item = TypeVar("Item", bound=np.generic)

# The share of the full range that `fit(..., search=True)` tries as the range of a group.
SHRINKS = tuple(np.linspace(1.0, 0.5, 26).tolist())


@dataclass(frozen=True, slots=True)
class Grid:
    """The grids of one (rows, cols) weight: one per row and group of columns.

    Shapes: `scale` and `zero` are (rows, groups), groups = ceil(cols / group).
    `scale` is the real value of one code step, never 0, may be negative, and is exactly a float16
    where the format stores float16. `zero` is the code that stands for 0.0.
    """

    scale: Real
    zero: Code


@dataclass(frozen=True, slots=True)
class Quantized:
    """One layer as integers, the form that every solver returns and every target packs.

    Shapes: `codes` (rows, cols), unsigned, below 2^bits; `grid` as above; `mask` (rows, cols) is
    True where a weight is kept, or None where all are. A masked weight has the code `zero`.
    """

    format: Format
    codes: Code
    grid: Grid
    mask: Mask | None = None

    def decode(self) -> Real:
        """Returns the (rows, cols) float32 weights that these codes stand for."""
        return decode(self.codes, self.grid, self.format)


def fit(
    weight: Real, format: Format, *, search: bool = False, importance: Real | None = None
) -> Grid:
    """Fits one grid per row and group; 0.0 is always exactly on the grid.

    Args:
        weight: (rows, cols) real values.
        format: an integer format.
        search: also try shrunken ranges and keep, per group, the one with the least squared
            error (weighted by `importance`, if given).
        importance: (cols,) positive weight of each column's squared error.
    """
    grouped, weights = _grouped(weight, format), _column_weights(weight, format, importance)
    best = _range_grid(grouped, format, 1.0)
    if not search:
        return best
    least = _squared_error(grouped, best, format, weights)
    for shrink in SHRINKS[1:]:
        grid = _range_grid(grouped, format, shrink)
        error = _squared_error(grouped, grid, format, weights)
        better = error < least
        least = np.where(better, error, least)
        best = Grid(
            np.where(better, grid.scale, best.scale), np.where(better, grid.zero, best.zero)
        )
    return best


def encode(weight: Real, grid: Grid, format: Format) -> Code:
    """Returns the nearest code of each (rows, cols) value, ties to even."""
    codes = _nearest(_grouped(weight, format), grid, format)
    return codes.reshape(len(weight), -1)[:, : weight.shape[1]].astype(np.uint8)


def decode(codes: Code, grid: Grid, format: Format) -> Real:
    """Returns scale * (code - zero) in float32, the one definition of a stored weight."""
    cols = codes.shape[1]
    scale, zero = columns(grid.scale, format, cols), columns(grid.zero, format, cols)
    return (codes.astype(np.float32) - zero.astype(np.float32)) * scale


def columns(per_group: npt.NDArray[Item], format: Format, cols: int) -> npt.NDArray[Item]:
    """Spreads a (rows, groups) array over (rows, cols)."""
    return np.repeat(per_group, format.group or cols, axis=1)[:, :cols]


def quantize(
    weight: Real,
    format: Format,
    *,
    search: bool = False,
    importance: Real | None = None,
    mask: Mask | None = None,
) -> Quantized:
    """Rounds a (rows, cols) weight to the nearest codes of a fitted grid (RTN)."""
    kept = weight if mask is None else np.where(mask, weight, np.float32(0))
    grid = fit(kept, format, search=search, importance=importance)
    codes = encode(kept, grid, format)
    if mask is not None:
        codes = np.where(mask, codes, columns(grid.zero, format, codes.shape[1]))
    return Quantized(format, codes, grid, mask)


def _grouped(weight: Real, format: Format) -> Real:
    """Returns (rows, groups, group); every range has the 0.0 that fills a short group."""
    rows, cols = weight.shape
    group = format.group or cols
    missing = format.groups(cols) * group - cols
    padded = np.pad(weight, ((0, 0), (0, missing))) if missing else weight
    return padded.reshape(rows, -1, group)


def _column_weights(weight: Real, format: Format, importance: Real | None) -> Real:
    """Returns (1, groups, group) error weights; columns that pad the last group weigh nothing."""
    cols = weight.shape[1]
    given = np.ones(cols, np.float32) if importance is None else importance
    group = format.group or cols
    padded = np.pad(given, (0, format.groups(cols) * group - cols))
    return padded.reshape(1, -1, group)


def _range_grid(grouped: Real, format: Format, shrink: float) -> Grid:
    if format.symmetric:
        scale = _stored_scale(_symmetric_scale(grouped, format) * shrink, format)
        return Grid(scale, np.full(scale.shape, format.levels // 2, np.uint8))
    top = format.levels - 1
    low = np.minimum(grouped.min(axis=2), 0) * shrink
    high = np.maximum(grouped.max(axis=2), 0) * shrink
    # Each side is divided on its own: their difference may exceed the largest float32.
    scale = _stored_scale(high / top - low / top, format)
    zero = np.clip(np.rint(-low / scale), 0, top)
    return Grid(scale, zero.astype(np.uint8))


def _symmetric_scale(grouped: Real, format: Format) -> Real:
    """Returns the (rows, groups) scales whose range spans each group."""
    half = format.levels // 2
    magnitude = np.abs(grouped)
    scale: Real
    if format.activation != "float":
        # Integer kernels expect positive scales and the codes -127 to 127.
        scale = magnitude.max(axis=2) / (half - 1)
        return scale
    # The weight of largest magnitude falls on code 0, which reaches one step further than
    # the top code; the sign of the scale turns the longer side to where that weight lies.
    extreme = np.take_along_axis(grouped, magnitude.argmax(axis=2)[..., None], axis=2)
    scale = extreme[..., 0] * np.float32(-1 / half)
    return scale


def _stored_scale(scale: Real, format: Format) -> Real:
    """Rounds scales to the stored type; a group that has no span gets the scale 1."""
    if format.scale_bits == 16:
        scale = _as_float16(scale)
    return np.where(scale == 0, np.float32(1), scale)


def _as_float16(scale: Real) -> Real:
    """Rounds to float16 such that no scale other than 0 becomes 0 or infinite.

    A float16 below 2^-14 is coarse, and a scale that is rounded down far clips its group. Where
    more than the 2^-11 of a normal number would be lost, the next float16 is taken.
    """
    limit = float(np.finfo(np.float16).max)
    nearest = np.clip(scale, -limit, limit).astype(np.float16)
    short = np.abs(nearest.astype(np.float32)) < np.abs(scale) * np.float32(1 - 2**-11)
    short &= np.abs(nearest) < limit
    away = np.copysign(np.float16(np.inf), scale[short].astype(np.float16))
    nearest[short] = np.nextafter(nearest[short], away)
    return nearest.astype(np.float32)


def _nearest(grouped: Real, grid: Grid, format: Format) -> Real:
    steps = np.rint(grouped / grid.scale[..., None]) + grid.zero[..., None]
    codes: Real = np.clip(steps, 0, format.levels - 1)
    return codes


def _squared_error(grouped: Real, grid: Grid, format: Format, weights: Real) -> Real:
    codes = _nearest(grouped, grid, format)
    real = (codes - grid.zero[..., None].astype(np.float32)) * grid.scale[..., None]
    # An error beyond float32 is infinite or NaN: such a range never beats the full one.
    with np.errstate(over="ignore", invalid="ignore"):
        error: Real = (weights * (real - grouped) ** 2).sum(axis=2)
    return error
