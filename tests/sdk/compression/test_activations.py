"""Mirrors sdk/lamella/compression/activations.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lamella.calibration.calibrate import calibrate
from lamella.compression import activations
from lamella.errors import CompressionError
from lamella.frontend.trace import trace


class Known:
    """Stands in for the statistics of a tensor."""

    name = "the input of layer x"

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def percentile(self, p: float) -> tuple[float, float]:
        return self.low * p / 200, self.high * p / 200

    def mse_range(self, bits: int) -> tuple[float, float]:
        return self.low / bits, self.high / bits


@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (0.5, 2.0), (-3.0, -1.0), (-1e-3, 40.0)])
def test_zero_is_on_the_grid_and_the_range_is_spanned(low: float, high: float) -> None:
    grid = activations.choose(Known(low, high), "minmax")  # type: ignore[arg-type]
    assert grid.scale == float(np.float32(grid.scale))
    assert 0 <= grid.zero <= 255
    first, last = -grid.zero * grid.scale, (255 - grid.zero) * grid.scale
    assert first <= min(low, 0) + grid.scale / 2 * (1 + 1e-6)
    assert last >= max(high, 0) - grid.scale / 2 * (1 + 1e-6)
    assert grid.scale == pytest.approx((max(high, 0) - min(low, 0)) / 255)


def test_each_rule_reads_its_own_range() -> None:
    known = Known(-1.0, 1.0)
    scales = {
        rule: activations.choose(known, rule).scale  # type: ignore[arg-type]
        for rule in ("minmax", "percentile", "mse")
    }
    assert scales["minmax"] == pytest.approx(2 / 255)
    assert scales["percentile"] == pytest.approx(0.9999 / 255)
    assert scales["mse"] == pytest.approx(0.25 / 255)


def test_a_tensor_of_zeros_has_a_grid_and_one_of_nan_has_none() -> None:
    assert activations.choose(Known(0, 0), "minmax").scale == 1  # type: ignore[arg-type]
    with pytest.raises(CompressionError, match="the input of layer x spans"):
        activations.choose(Known(0, float("nan")), "minmax")  # type: ignore[arg-type]


def test_the_mse_rule_beats_the_full_range_on_real_statistics() -> None:
    torch.manual_seed(0)
    model = trace(nn.Sequential(nn.Linear(16, 4)), torch.randn(2, 16))
    data = torch.randn(4000, 16) ** 3
    data[0, 0] = 2000
    statistics = calibrate(model, [data], needs=("ranges",)).input(model.layers[0])
    errors = []
    for rule in ("mse", "minmax"):
        grid = activations.choose(statistics, rule)
        codes = np.clip(np.rint(data.numpy() / grid.scale) + grid.zero, 0, 255)
        errors.append(((codes - grid.zero) * grid.scale - data.numpy()).__pow__(2).mean())
    assert errors[0] < errors[1]
