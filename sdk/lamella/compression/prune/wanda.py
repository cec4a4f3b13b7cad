"""Wanda: weights go by magnitude times the norm of the input they multiply, row by row.

Source: Sun et al. 2023, arXiv:2306.11695, section 3. Among masks that leave the kept weights as
they are, it removes the least sum of w^2 H_jj from every row.
"""

from __future__ import annotations

import numpy as np

from lamella.compression.prune.patterns import keep_best, keep_pattern
from lamella.formats import Sparsity
from lamella.grids import Mask, Real


def mask(weight: Real, sparsity: Sparsity, moment: Real) -> Mask:
    """Returns which weights are kept.

    Args:
        weight: (rows, cols).
        sparsity: an N:M rule along the columns, or the share to remove from every row.
        moment: (problems, cols, cols) second moments; rows are split evenly over them.
    """
    norms = np.sqrt(np.diagonal(moment, axis1=1, axis2=2).clip(min=0))
    split = weight.reshape(len(moment), -1, weight.shape[1])
    score = (np.abs(split) * norms[:, None]).reshape(weight.shape)
    if sparsity.of:
        return keep_pattern(score, sparsity)
    return keep_best(score, sparsity.fraction)
