"""Mirrors sdk/lamella/compression/prune/wanda.py."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from lamella.compression.prune import patterns, wanda
from lamella.formats import Sparsity


def case(rows: int, cols: int, problems: int = 1) -> tuple[npt.NDArray[np.float32], ...]:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(rows, cols)).astype(np.float32)
    norms = rng.lognormal(sigma=1.5, size=(problems, cols)).astype(np.float32)
    return weight, np.stack([np.diag(norm) for norm in norms])


def test_no_other_mask_of_a_row_loses_less_under_a_diagonal_moment() -> None:
    weight, moment = case(3, 8)
    mask = wanda.mask(weight, Sparsity(0.5), moment)
    cost = np.square(weight.astype(np.float64)) * np.diag(moment[0])
    for row in range(3):
        assert (~mask[row]).sum() == 4
        removed = cost[row, ~mask[row]].sum()
        least = min(cost[row, list(c)].sum() for c in itertools.combinations(range(8), 4))
        assert removed <= least * (1 + 1e-6)


def test_equal_inputs_give_magnitude_by_row() -> None:
    weight, _ = case(6, 20)
    mask = wanda.mask(weight, Sparsity(0.4), 3 * np.eye(20, dtype=np.float32)[None])
    np.testing.assert_array_equal(mask, patterns.keep_best(np.abs(weight), 0.4))


def test_scaling_an_input_and_undoing_it_in_the_weight_keeps_the_mask() -> None:
    weight, moment = case(6, 16)
    scale = np.exp2(np.arange(16) % 5 - 2).astype(np.float32)
    moved = moment / scale / scale[:, None]
    for sparsity in (Sparsity(0.5), Sparsity(0.5, 2, 4)):
        np.testing.assert_array_equal(
            wanda.mask(weight, sparsity, moment), wanda.mask(weight * scale, sparsity, moved)
        )


def test_each_group_of_a_convolution_uses_its_own_inputs() -> None:
    weight, moment = case(4, 8, problems=2)
    whole = wanda.mask(weight, Sparsity(0.5), moment)
    for group in range(2):
        rows = slice(2 * group, 2 * group + 2)
        alone = wanda.mask(weight[rows], Sparsity(0.5), moment[group : group + 1])
        np.testing.assert_array_equal(whole[rows], alone)
