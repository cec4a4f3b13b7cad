"""Magnitude pruning: the smallest weights of a layer go.

Source: Han et al. 2015, arXiv:1506.02626, with one threshold per layer.
"""

from __future__ import annotations

import numpy as np

from lamella.compression.prune.patterns import keep_best, keep_pattern
from lamella.formats import Sparsity
from lamella.grids import Mask, Real


def mask(weight: Real, sparsity: Sparsity) -> Mask:
    """Returns which of the (rows, cols) weights are kept; of equals the first are."""
    score = np.abs(weight)
    if sparsity.of:
        return keep_pattern(score, sparsity)
    return keep_best(score.reshape(1, -1), sparsity.fraction).reshape(weight.shape)
