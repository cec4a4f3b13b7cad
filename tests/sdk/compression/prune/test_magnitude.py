"""Mirrors sdk/lamella/compression/prune/magnitude.py."""

from __future__ import annotations

import numpy as np

from lamella.compression.prune import magnitude
from lamella.formats import Sparsity


def test_the_smallest_weights_of_the_whole_layer_go() -> None:
    weight = np.array([[0.1, -0.2, 0.3, 0.4], [-5, 6, 7, -8]], np.float32)
    mask = magnitude.mask(weight, Sparsity(0.5))
    assert mask.tolist() == [[False] * 4, [True] * 4]


def test_a_pattern_compares_neighbours_only() -> None:
    weight = np.array([[0.1, -0.2, 0.3, 0.4], [-5, 6, 7, -8]], np.float32)
    mask = magnitude.mask(weight, Sparsity(0.5, 2, 4))
    assert mask.tolist() == [[False, False, True, True]] * 2
