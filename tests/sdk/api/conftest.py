"""A small traced network with data, as a job."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lamella.api.job import Job
from lamella.frontend.trace import trace


class Network(nn.Module):
    """A convolution, a depthwise one and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.depth = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.head = nn.Linear(8, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        seen = torch.relu(self.depth(torch.relu(self.stem(image))))
        return self.head(seen.mean((2, 3)))


def images(count: int, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {"image": torch.randn(count, 3, 6, 6, generator=generator)}


@pytest.fixture(scope="session")
def job() -> Job:
    torch.manual_seed(0)
    model = trace(Network(), images(2, 0), {"image": {0: torch.export.Dim.DYNAMIC}})
    return Job(
        model=model,
        metric="relative",
        calibration=[images(4, seed) for seed in (1, 2)],
        sensing=[images(4, 5)],
        evaluation=[images(3, seed) for seed in (3, 4)],
    )
