"""A bounded sketch of a distribution: a histogram on the bit pattern of float32.

The sign, the exponent and the first MANTISSA_BITS bits of the mantissa choose the bin, so every
octave from 2^LOWEST to 2^HIGHEST has 2^MANTISSA_BITS bins on either side and no value ever has to
move: counts are exact, adding two histograms is exactly the histogram of both, and memory is
constant (8193 counts). Magnitudes below 2^LOWEST count as zero; those of 2^HIGHEST and above fall
into the last bin.

Error: a bin is at most 2^-MANTISSA_BITS (1.6 %) of its lower edge wide, so a quantile differs from
the true order statistic by at most 1.6 % of its magnitude, or by 2^-32 next to zero.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

MANTISSA_BITS = 6
LOWEST, HIGHEST = -32, 32
SIDE = (HIGHEST - LOWEST) << MANTISSA_BITS
BINS = 2 * SIDE + 1
RELATIVE_ERROR = 2.0**-MANTISSA_BITS

Counts = npt.NDArray[np.int64]
Double = npt.NDArray[np.float64]

# Values are binned in pieces of this many, so that a large tensor needs no large index tensor.
_PIECE = 1 << 20
_FIRST = (127 + LOWEST) << MANTISSA_BITS


def count(values: Tensor) -> Counts:
    """Returns the (BINS,) histogram of finite float32 values of any shape."""
    total = torch.zeros(BINS, dtype=torch.int64)
    flat = values.detach().reshape(-1).contiguous()
    for start in range(0, len(flat), _PIECE):
        bits = flat[start : start + _PIECE].view(torch.int32)
        side = ((bits & 0x7FFFFFFF) >> (23 - MANTISSA_BITS)).sub_(_FIRST - 1).clamp_(0, SIDE)
        index = torch.where(bits < 0, SIDE - side, SIDE + side)
        total += torch.bincount(index, minlength=BINS)
    return total.numpy()


def edges() -> Double:
    """Returns the (SIDE + 1,) edges of the positive bins, from 2^LOWEST to 2^HIGHEST."""
    octave = 1 + np.arange(1 << MANTISSA_BITS) / (1 << MANTISSA_BITS)
    powers = np.exp2(np.arange(LOWEST, HIGHEST, dtype=np.float64))
    return np.append(np.outer(powers, octave).reshape(-1), np.exp2(float(HIGHEST)))


def bounds() -> tuple[Double, Double]:
    """Returns the lower and the upper end of every bin, both (BINS,); zero's bin has no width."""
    positive = edges()
    low = np.concatenate([-positive[:0:-1], [0.0], positive[:-1]])
    high = np.concatenate([-positive[-2::-1], [0.0], positive[1:]])
    return low, high


def quantile(counts: Counts, share: float) -> float:
    """Returns the value below which the given share of all values lies.

    The order statistic ceil(share * total), numpy's `inverted_cdf`, lies in the bin that is
    chosen; its place within the bin is interpolated by rank.

    Args:
        counts: (BINS,) with a positive sum.
        share: 0 to 1.
    """
    reached = np.cumsum(counts)
    rank = max(1, int(np.ceil(share * int(reached[-1]))))
    chosen = int(np.searchsorted(reached, rank))
    inside = (rank - (reached[chosen] - counts[chosen]) - 0.5) / counts[chosen]
    low, high = bounds()
    return float(low[chosen] + inside * (high[chosen] - low[chosen]))
