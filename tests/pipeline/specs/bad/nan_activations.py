"""Sound weights and inputs whose product is not a number inside of the model."""

from __future__ import annotations

import torch
from base import rows
from torch import Tensor, nn


class Overflowing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.second = nn.Linear(8, 3)

    def forward(self, row: Tensor) -> Tensor:
        return self.second(torch.log(self.first(row)))


def model() -> nn.Module:
    torch.manual_seed(0)
    return Overflowing()


def example_inputs() -> Tensor:
    return rows(0)


def calibration() -> list[Tensor]:
    return [rows(seed) for seed in range(4)]
