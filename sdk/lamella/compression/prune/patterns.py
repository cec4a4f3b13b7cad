"""Turns scores into masks: the weights of least score are removed, exactly as many as asked."""

from __future__ import annotations

import numpy as np

from lamella.errors import CompressionError
from lamella.formats import Sparsity
from lamella.grids import Mask, Real


def check_pattern(layer: str, cols: int, sparsity: Sparsity) -> None:
    """Refuses an N:M rule that does not divide the inputs of a layer.

    Raises:
        CompressionError: names the layer.
    """
    if sparsity.of and cols % sparsity.of:
        raise CompressionError(
            f"layer {layer}: {cols} inputs do not split into groups of {sparsity.of}, so "
            f"{sparsity.id} sparsity is impossible; choose another format for it"
        )


def keep_pattern(score: Real, sparsity: Sparsity) -> Mask:
    """Keeps the `keep` best of every `of` neighbouring columns, the first of equals."""
    rows, cols = score.shape
    grouped = score.reshape(rows, cols // sparsity.of, sparsity.of)
    best = np.argsort(-grouped, axis=2, kind="stable")[..., : sparsity.keep]
    mask = np.zeros(grouped.shape, np.bool_)
    np.put_along_axis(mask, best, True, axis=2)
    return mask.reshape(rows, cols)


def keep_best(score: Real, fraction: float) -> Mask:
    """Removes `round(fraction * cols)` entries of least score from every row, the last of equals.

    A matrix of one row stands for a layer whose weights are all compared with one another.
    """
    removed = round(fraction * score.shape[1])
    mask = np.ones(score.shape, np.bool_)
    if removed:
        # The reversed view makes a stable sort remove the last of equal scores first.
        worst = np.argsort(score[:, ::-1], axis=1, kind="stable")[:, :removed]
        np.put_along_axis(mask[:, ::-1], worst, False, axis=1)
    return mask
