"""Mirrors calibration/nearest.py."""

from __future__ import annotations

import numpy as np
import pytest

from lamella import grids
from lamella.calibration import nearest
from lamella.formats import parse
from lamella.frontend.layers import Layer

LAYER = Layer("x", "linear", "other", None, 9, 48, (9, 48), False, 432, 0, 1728, "x")
RNG = np.random.default_rng(0)
WEIGHT = RNG.standard_normal((9, 48)).astype(np.float32)


@pytest.mark.parametrize("name", ["w4g32", "w3g16z", "w8", "w8a8"])
def test_a_weight_in_pieces_is_quantized_as_a_whole(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = grids.quantize(WEIGHT, parse(name), search=True)
    monkeypatch.setattr(nearest, "_PIECE", 100)
    found = nearest.encode(LAYER, WEIGHT, parse(name), None)
    np.testing.assert_array_equal(found.codes, whole.codes)
    np.testing.assert_array_equal(found.decode(), whole.decode())


def test_a_mask_keeps_the_weights_with_the_most_output() -> None:
    columns = RNG.random(48).astype(np.float32) + 0.1
    moment = np.diag(columns**2)[None]
    mask = nearest.keep(WEIGHT, parse("w8@50").sparsity, moment)
    score = abs(WEIGHT) * columns
    assert (mask.sum(1) == 24).all()
    for row, kept in zip(score, mask, strict=True):
        assert row[kept].min() > row[~kept].max()


def test_a_pattern_holds_in_every_group_and_in_a_short_last_one() -> None:
    mask = nearest.keep(WEIGHT[:, :46], parse("w8@2:4").sparsity, None)
    assert (mask[:, :44].reshape(9, -1, 4).sum(2) == 2).all()
    assert (mask[:, 44:].sum(1) == 2).all()


def test_groups_of_a_convolution_have_their_own_moments() -> None:
    weight = np.ones((4, 2), np.float32)
    moment = np.stack([np.diag([1.0, 4.0]), np.diag([4.0, 1.0])]).astype(np.float32)
    mask = nearest.keep(weight, parse("w8@50").sparsity, moment)
    np.testing.assert_array_equal(mask[:, 0], [False, False, True, True])


def test_float_formats_round_and_prune() -> None:
    half = nearest.decoded(LAYER, WEIGHT, parse("f16"), None, nearest.encode)
    np.testing.assert_array_equal(half, WEIGHT.astype(np.float16).astype(np.float32))
    same = nearest.decoded(LAYER, WEIGHT, parse("f32"), None, nearest.encode)
    np.testing.assert_array_equal(same, WEIGHT)
    pruned = nearest.decoded(LAYER, WEIGHT, parse("f16@2:4"), None, nearest.encode)
    assert ((pruned != 0).reshape(9, -1, 4).sum(2) == 2).all()


def test_masked_codes_decode_to_zero() -> None:
    found = nearest.encode(LAYER, WEIGHT, parse("w4g32@2:4"), None)
    assert found.mask is not None
    assert (found.decode()[~found.mask] == 0).all()
