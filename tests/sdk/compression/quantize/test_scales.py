"""Mirrors sdk/lamella/compression/quantize/scales.py."""

from __future__ import annotations

import numpy as np
import pytest

from lamella import formats, grids
from lamella.compression.quantize import problem, scales
from lamella.grids import Grid, Real


def weights(rows: int, cols: int, seed: int = 0) -> Real:
    return np.random.default_rng(seed).normal(size=(rows, cols)).astype(np.float32)


def error(weight: Real, grid: Grid, text: str, importance: Real) -> float:
    format = formats.parse(text)
    decoded = grids.decode(grids.encode(weight, grid, format), grid, format)
    return float((importance * np.square((weight - decoded).astype(np.float64))).sum())


@pytest.mark.parametrize("text", ["w2g16z", "w3g32", "w4g32", "w4g32z", "w8"])
def test_the_error_is_below_that_of_the_full_range_and_of_the_plain_search(text: str) -> None:
    weight, format = weights(20, 96), formats.parse(text)
    importance = np.random.default_rng(1).lognormal(sigma=2, size=(1, 96)).astype(np.float32)
    found = error(weight, scales.fit(weight, format, importance), text, importance)
    assert found < error(weight, grids.fit(weight, format), text, importance)
    plain = grids.fit(weight, format, search=True, importance=importance[0])
    assert found <= error(weight, plain, text, importance)


def test_a_group_of_two_weights_gets_nearly_the_best_of_all_grids() -> None:
    format = formats.parse("w2g16z")
    for seed in range(20):
        weight = np.zeros((1, 16), np.float32)
        weight[0, :5] = weights(1, 5, seed)
        importance = np.ones((1, 16), np.float32)
        found = error(weight, scales.fit(weight, format, importance), "w2g16z", importance)
        span = np.float32(np.ptp(weight))
        tried = [
            error(
                weight, Grid(np.full((1, 1), s), np.full((1, 1), z, np.uint8)), "w2g16z", importance
            )
            for s in np.linspace(0.05, 1.2, 400, dtype=np.float32) * span
            for z in range(4)
        ]
        assert found <= 1.35 * min(tried) + 1e-9


@pytest.mark.parametrize("text", ["w3g16", "w4g32z", "w8"])
def test_weights_on_a_grid_are_kept_exactly(text: str) -> None:
    format = formats.parse(text)
    rng = np.random.default_rng(5)
    codes = rng.integers(0, format.levels, size=(6, 64)).astype(np.uint8)
    codes[:, ::8], codes[:, 1::8] = 0, format.levels - 1
    groups = format.groups(64)
    scale = np.full((6, groups), 0.03125, np.float32)
    weight = grids.decode(
        codes, Grid(scale, np.full((6, groups), format.levels // 2, np.uint8)), format
    )
    grid = scales.fit(weight, format)
    np.testing.assert_array_equal(
        grids.decode(grids.encode(weight, grid, format), grid, format), weight
    )


def test_scales_are_stored_numbers_and_a_short_last_group_is_fitted_alone() -> None:
    weight = weights(3, 40)
    weight[:, 32:] *= 100
    grid = scales.fit(weight, formats.parse("w4g32"))
    np.testing.assert_array_equal(grid.scale, grid.scale.astype(np.float16).astype(np.float32))
    alone = scales.fit(weight[:, 32:], formats.parse("w4g32"))
    np.testing.assert_array_equal(grid.scale[:, 1], alone.scale[:, 0])


@pytest.mark.parametrize("text", ["w8a8", "w8a8d"])
def test_integer_layers_get_positive_scales(text: str) -> None:
    assert (scales.fit(weights(50, 32), formats.parse(text)).scale > 0).all()


def test_groups_of_zeros_get_a_scale() -> None:
    grid = scales.fit(np.zeros((2, 32), np.float32), formats.parse("w4g32z"))
    np.testing.assert_array_equal(grid.scale, 1)


def test_rows_are_independent_of_how_they_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, format = weights(33, 64), formats.parse("w3g16z")
    importance = np.abs(weights(33, 64, 1))
    whole = scales.fit(weight, format, importance)
    monkeypatch.setattr(problem, "CHUNK", 16 * 64 * 5)
    parts = scales.fit(weight, format, importance)
    np.testing.assert_array_equal(whole.scale, parts.scale)
    np.testing.assert_array_equal(whole.zero, parts.zero)
