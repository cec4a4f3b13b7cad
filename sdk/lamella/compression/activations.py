"""Grids of activations: unsigned 8-bit, asymmetric, fixed by calibration."""

from __future__ import annotations

import math
from typing import Literal

from lamella.calibration.activations import static_grid
from lamella.calibration.stats import TensorStatistics
from lamella.errors import CompressionError
from lamella.frontend.model import ActivationGrid

Range = Literal["mse", "percentile", "minmax"]

# What the percentile range leaves out is 0.01 % of the values at either end.
PERCENTILE = 99.99


def choose(statistics: TensorStatistics, rule: Range) -> ActivationGrid:
    """Chooses the unsigned 8-bit grid of one tensor; 0.0 is exactly on it.

    Raises:
        CompressionError: the tensor held NaN or infinity.
    """
    if rule == "minmax":
        low, high = statistics.low, statistics.high
    elif rule == "percentile":
        low, high = statistics.percentile(PERCENTILE)
    else:
        low, high = statistics.mse_range(8)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise CompressionError(
            f"{statistics.name} spans [{low}, {high}], which no grid can hold; calibrate again"
        )
    return static_grid(low, high)
