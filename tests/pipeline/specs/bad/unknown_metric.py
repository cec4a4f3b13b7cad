"""A spec that asks for a metric that there is none of."""

from __future__ import annotations

from base import network, rows
from torch import Tensor, nn

METRIC = "beauty"


def model() -> nn.Module:
    return network()


def example_inputs() -> Tensor:
    return rows(0)


def calibration() -> list[Tensor]:
    return [rows(seed) for seed in range(4)]
