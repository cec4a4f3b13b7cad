"""A spec that forgot its model."""

from __future__ import annotations

import torch


def example_inputs() -> torch.Tensor:
    return torch.zeros(2, 4)


def calibration() -> list[torch.Tensor]:
    return [torch.zeros(2, 4)]
