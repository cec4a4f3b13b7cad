"""The default encoding of a sensitivity probe: rounding to nearest on fitted grids.

A format with a mask drops the weights of least |w| * sqrt(E[x^2]).
Source: Sun et al. 2024, arXiv:2306.11695 (Wanda), equation 1, compared within each row.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lamella import grids
from lamella.formats import Format, Sparsity
from lamella.frontend.layers import Layer
from lamella.grids import Grid, Mask, Quantized, Real

Encode = Callable[[Layer, Real, Format, Real | None], Quantized]

# The search for scales makes many passes over what it is given; parts that fit a cache take half
# the time, and a vocabulary needs no large copies.
_PIECE = 1 << 16


def encode(layer: Layer, weight: Real, format: Format, moment: Real | None) -> Quantized:
    """Rounds a (rows, cols) weight to nearest, with scales of least squared error.

    The error of a column counts as much as the mean square of what it multiplies, where all rows
    read the same input; that is nearer to what a solver reaches than plain squared error.

    Args:
        layer: the layer that the weight belongs to.
        weight: (rows, cols).
        format: an integer format.
        moment: (problems, cols, cols) second moment of the input, or None where there is none.
    """
    mask = keep(weight, format.sparsity, moment) if format.sparsity else None
    shared = moment is not None and len(moment) == 1
    importance = moment[0].diagonal() if moment is not None and shared else None
    height = max(1, _PIECE // weight.shape[1])
    parts = [
        grids.quantize(
            weight[start : start + height],
            format,
            search=True,
            importance=importance,
            mask=None if mask is None else mask[start : start + height],
        )
        for start in range(0, len(weight), height)
    ]
    grid = Grid(
        np.concatenate([part.grid.scale for part in parts]),
        np.concatenate([part.grid.zero for part in parts]),
    )
    return Quantized(format, np.concatenate([part.codes for part in parts]), grid, mask)


def decoded(
    layer: Layer, weight: Real, format: Format, moment: Real | None, encode: Encode
) -> Real:
    """Returns the (rows, cols) weights that a layer has once it is stored in a format."""
    if not format.is_float:
        return encode(layer, weight, format, moment).decode()
    kept = weight * keep(weight, format.sparsity, moment) if format.sparsity else weight
    return kept if format.bits == 32 else kept.astype(np.float16).astype(np.float32)


def keep(weight: Real, sparsity: Sparsity, moment: Real | None) -> Mask:
    """Returns the (rows, cols) mask that keeps the weights of greatest score.

    Every row loses the same number; of equal scores the earlier column is kept.
    """
    rows, cols = weight.shape
    score = np.abs(weight) * _column_norms(rows, cols, moment)
    width = sparsity.of or cols
    kept = sparsity.keep or cols - round(cols * sparsity.fraction)
    missing = -cols % width
    # Columns that pad the last group score below any weight, so that they are dropped first.
    blocks = np.pad(score, ((0, 0), (0, missing)), constant_values=-1).reshape(rows, -1, width)
    order = np.argsort(-blocks, axis=2, kind="stable")
    mask = np.zeros(blocks.shape, np.bool_)
    np.put_along_axis(mask, order[..., :kept], True, axis=2)
    return mask.reshape(rows, -1)[:, :cols]


def _column_norms(rows: int, cols: int, moment: Real | None) -> Real:
    if moment is None:
        return np.ones((1, cols), np.float32)
    norms = np.sqrt(np.diagonal(moment, axis1=1, axis2=2))
    return np.repeat(norms, rows // len(moment), axis=0).astype(np.float32)
