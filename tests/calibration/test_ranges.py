"""Mirrors calibration/ranges.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lamella.calibration import histogram, ranges
from lamella.calibration.ranges import best_range


def quantization_error(values: np.ndarray, low: float, high: float, bits: int) -> float:
    top = 2**bits - 1
    step = (high - low) / top
    zero = np.rint(-low / step)
    codes = np.clip(np.rint(values / step) + zero, 0, top)
    return float(np.mean(((codes - zero) * step - values) ** 2))


def samples(name: str) -> np.ndarray:
    rng = np.random.default_rng(3)
    normal = rng.standard_normal(8_000)
    found = {
        "normal": normal,
        "relu": np.maximum(normal, 0),
        "relu6": np.clip(3 * normal, 0, 6),
        "laplace": rng.laplace(size=8_000),
        "outlier": np.append(normal, [80.0, 90.0]),
        "skewed": rng.exponential(size=8_000) - 0.3,
        "positive": rng.random(8_000) + 4,
    }
    return found[name].astype(np.float32)


def brute_force(values: np.ndarray, bits: int) -> float:
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    shares = np.linspace(0.02, 1.0, 50)
    lows = low * shares if low < 0 else [0.0]
    highs = high * shares if high > 0 else [0.0]
    return min(quantization_error(values, a, b, bits) for a in lows for b in highs)


@pytest.mark.parametrize("bits", [3, 4, 8])
@pytest.mark.parametrize(
    "name", ["normal", "relu", "relu6", "laplace", "outlier", "skewed", "positive"]
)
def test_the_range_is_as_good_as_the_best_of_a_brute_force_search(name: str, bits: int) -> None:
    values = samples(name)
    counts = histogram.count(torch.from_numpy(values))
    low, high = best_range(counts, float(values.min()), float(values.max()), bits)
    # The search steps by one per cent where the brute force steps by two, but it moves one end at
    # a time and sees values only to 1.6 % of their size.
    assert quantization_error(values, low, high, bits) <= 1.05 * brute_force(values, bits)
    assert min(values.min() * 1.0001, 0) <= low <= 0 <= high <= values.max() * 1.0001


def test_the_integrated_error_is_that_of_evenly_spread_values() -> None:
    rng = np.random.default_rng(1)
    start, end = 0.37, 2.9
    bins = (np.array([1.0]), np.array([start]), np.array([end]))
    spread = start + (end - start) * (np.arange(400_000) + 0.5) / 400_000
    for _ in range(5):
        low, high, bits = -rng.random(), 1 + 2 * rng.random(), int(rng.integers(2, 9))
        expected = quantization_error(spread, low, high, bits)
        assert ranges._error(bins, low, high, bits) == pytest.approx(expected, rel=1e-4)


def test_more_bits_ask_for_a_wider_range() -> None:
    values = samples("laplace")
    counts = histogram.count(torch.from_numpy(values))
    spans = [
        high - low
        for low, high in (
            best_range(counts, float(values.min()), float(values.max()), bits) for bits in (2, 4, 8)
        )
    ]
    assert spans[0] < spans[1] < spans[2]


def test_a_tensor_of_zeros_has_no_span() -> None:
    assert best_range(histogram.count(torch.zeros(9)), 0.0, 0.0, 8) == (0.0, 0.0)
