"""A model with one weight that is not a number."""

from __future__ import annotations

import torch
from base import network, rows
from torch import Tensor, nn


def model() -> nn.Module:
    net = network()
    with torch.no_grad():
        net[2].weight[1, 5] = float("nan")
    return net


def example_inputs() -> Tensor:
    return rows(0)


def calibration() -> list[Tensor]:
    return [rows(seed) for seed in range(4)]
