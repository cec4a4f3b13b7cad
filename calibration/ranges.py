"""The range of an n-bit grid that loses least: mean squared error integrated over a histogram.

Within a bin values are taken as evenly spread, and the squared error of rounding and clipping is
integrated in closed form, so that the result does not depend on where bins fall on the grid.
"""

from __future__ import annotations

import numpy as np

from lamella.calibration import histogram
from lamella.calibration.histogram import Counts, Double

# Shares of either end of the full range that the search tries: hundredths down to a half, where
# most optima lie, and eighths of an octave below, for tensors with outliers.
SHARES = np.append(np.exp2(np.arange(-7.0, -1.0, 0.125)), np.arange(50, 101) / 100)


def best_range(counts: Counts, low: float, high: float, bits: int) -> tuple[float, float]:
    """Returns the (low, high) of the `bits`-wide asymmetric grid with the least squared error.

    Both ends shrink together first; then each end is searched alone, until neither moves. The
    result always holds 0.0 and never reaches beyond the values seen.

    Args:
        counts: (BINS,) histogram of the values.
        low: least value seen.
        high: greatest value seen.
        bits: width of a code, 2 to 8.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return low, high
    used = np.flatnonzero(counts)
    starts, ends = (bound[used].clip(low, high) for bound in histogram.bounds())
    bins = (counts[used].astype(np.float64), starts, ends)
    best = _least(bins, [(low * share, high * share) for share in SHARES], bits)
    for _ in range(4):
        before = best
        best = _least(bins, [best, *((low * share, best[1]) for share in SHARES)], bits)
        best = _least(bins, [best, *((best[0], high * share) for share in SHARES)], bits)
        if best == before:
            break
    return best


def _least(
    bins: tuple[Double, Double, Double], ranges: list[tuple[float, float]], bits: int
) -> tuple[float, float]:
    """Returns the range of least error; of equals, the first."""
    low, high = ranges[int(np.argmin([_error(bins, *each, bits) for each in ranges]))]
    return float(low), float(high)


def _error(bins: tuple[Double, Double, Double], low: float, high: float, bits: int) -> float:
    """Returns the sum of squared errors of one grid over all bins."""
    counts, starts, ends = bins
    step = (high - low) / (2**bits - 1)
    zero = np.rint(-low / step)
    first, last = -zero * step, (2**bits - 1 - zero) * step
    width = ends - starts
    spread = width > 0
    area = _primitive(ends, step, first, last) - _primitive(starts, step, first, last)
    point = (np.clip(np.rint(starts / step) * step, first, last) - starts) ** 2
    mean = np.where(spread, area / np.where(spread, width, 1.0), point)
    return float((counts * mean).sum())


def _primitive(values: Double, step: float, first: float, last: float) -> Double:
    """Returns the integral from 0 to each value of the squared error of the grid."""
    inner = np.clip(values, first, last)
    code = np.rint(inner / step)
    rounding = code * step**3 / 12 + (inner - code * step) ** 3 / 3
    total: Double = rounding + (values - inner) ** 3 / 3
    return total
