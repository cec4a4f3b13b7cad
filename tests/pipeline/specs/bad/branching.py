"""A model whose path depends on the values of its input."""

from __future__ import annotations

import torch
from base import rows
from torch import Tensor, nn


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, row: Tensor) -> Tensor:
        if row.sum() > 0:
            return self.layer(row)
        return -self.layer(row)


def model() -> nn.Module:
    torch.manual_seed(0)
    return Branching()


def example_inputs() -> Tensor:
    return rows(0)


def calibration() -> list[Tensor]:
    return [rows(seed) for seed in range(4)]
