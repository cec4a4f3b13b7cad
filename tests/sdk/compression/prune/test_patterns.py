"""Mirrors sdk/lamella/compression/prune/patterns.py."""

from __future__ import annotations

import numpy as np
import pytest

from lamella.compression.prune import patterns
from lamella.errors import CompressionError
from lamella.formats import Sparsity


@pytest.mark.parametrize(("keep", "of"), [(1, 4), (2, 4), (4, 8), (3, 16)])
def test_a_pattern_keeps_exactly_the_best_of_every_group(keep: int, of: int) -> None:
    score = np.random.default_rng(of).random((5, 48)).astype(np.float32)
    mask = patterns.keep_pattern(score, Sparsity(1 - keep / of, keep, of))
    for row in range(5):
        for start in range(0, 48, of):
            group = slice(start, start + of)
            best = sorted(range(of), key=lambda j: -score[row, group][j])[:keep]
            assert set(np.flatnonzero(mask[row, group])) == set(best)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.75])
def test_every_row_loses_exactly_its_share_and_the_least_scores(fraction: float) -> None:
    score = np.random.default_rng(0).random((4, 37)).astype(np.float32)
    mask = patterns.keep_best(score, fraction)
    assert ((~mask).sum(axis=1) == round(fraction * 37)).all()
    for row in range(4):
        assert score[row, ~mask[row]].max() < score[row, mask[row]].min()


def test_of_equal_scores_the_first_are_kept() -> None:
    score = np.ones((1, 8), np.float32)
    assert patterns.keep_best(score, 0.25).tolist() == [[True] * 6 + [False] * 2]
    kept = patterns.keep_pattern(score, Sparsity(0.5, 2, 4))
    assert kept.tolist() == [[True, True, False, False] * 2]


def test_a_share_that_rounds_to_nothing_removes_nothing() -> None:
    assert patterns.keep_best(np.ones((3, 4), np.float32), 0.1).all()


def test_a_pattern_that_does_not_divide_the_inputs_is_refused_by_name() -> None:
    with pytest.raises(CompressionError, match=r"layer block\.0: 27 inputs do not split"):
        patterns.check_pattern("block.0", 27, Sparsity(0.5, 2, 4))
    patterns.check_pattern("block.0", 27, Sparsity(0.5))
