"""Mirrors calibration/histogram.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lamella.calibration import histogram


def samples(name: str) -> np.ndarray:
    rng = np.random.default_rng(7)
    found = {
        "normal": rng.standard_normal(20_000),
        "heavy": rng.standard_t(1.5, 20_000),
        "relu": np.maximum(rng.standard_normal(20_000), 0),
        "shifted": rng.standard_normal(20_000) * 0.01 + 3,
        "tiny": rng.standard_normal(20_000) * 1e-7,
        "few": np.array([-2.0, 0.0, 5.0, 5.0]),
    }
    return found[name].astype(np.float32)


NAMES = ["normal", "heavy", "relu", "shifted", "tiny", "few"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.95, 0.999, 1.0])
def test_a_quantile_lies_within_the_stated_bound(name: str, share: float) -> None:
    values = samples(name)
    exact = np.quantile(values, share, method="inverted_cdf")
    found = histogram.quantile(histogram.count(torch.from_numpy(values)), share)
    assert abs(found - exact) <= histogram.RELATIVE_ERROR * abs(exact) + 2.0**histogram.LOWEST


@pytest.mark.parametrize("name", NAMES)
def test_every_value_falls_between_the_bounds_of_its_bin(name: str) -> None:
    values = samples(name)
    low, high = histogram.bounds()
    counts = histogram.count(torch.from_numpy(values))
    zero = np.abs(values) < 2.0**histogram.LOWEST
    inside = values[~zero].astype(np.float64)
    # A bin holds its edge nearest to zero and not the other one.
    place = [
        int(np.flatnonzero((low <= v) & (v < high))[0])
        if v > 0
        else int(np.flatnonzero((low < v) & (v <= high))[0])
        for v in inside[:500]
    ]
    head = histogram.count(torch.from_numpy(inside[:500].astype(np.float32)))
    np.testing.assert_array_equal(head, np.bincount(place, minlength=histogram.BINS))
    assert counts.sum() == len(values)
    assert counts[histogram.SIDE] == zero.sum()


def test_two_histograms_add_up_to_that_of_both() -> None:
    values = torch.from_numpy(samples("heavy"))
    parts = histogram.count(values[:123]) + histogram.count(values[123:])
    np.testing.assert_array_equal(parts, histogram.count(values))


def test_a_tensor_of_several_pieces_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.from_numpy(samples("normal"))
    whole = histogram.count(values)
    monkeypatch.setattr(histogram, "_PIECE", 999)
    np.testing.assert_array_equal(histogram.count(values), whole)


def test_magnitudes_beyond_the_last_edge_fall_into_the_last_bin() -> None:
    counts = histogram.count(torch.tensor([1e30, -3e38, 2.0**-40, -0.0]))
    assert counts[-1] == counts[0] == 1
    assert counts[histogram.SIDE] == 2
