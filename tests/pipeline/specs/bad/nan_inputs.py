"""A calibration batch with one value that is not a number."""

from __future__ import annotations

from base import network, rows
from torch import Tensor, nn


def model() -> nn.Module:
    return network()


def example_inputs() -> Tensor:
    return rows(0)


def calibration() -> list[Tensor]:
    found = [rows(seed) for seed in range(4)]
    found[1][2, 3] = float("nan")
    return found
