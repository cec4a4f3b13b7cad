"""Small traced models and seeded batches for the tests of calibration."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from lamella.frontend.model import Model
from lamella.frontend.trace import trace

DYNAMIC = torch.export.Dim.DYNAMIC


class Network(nn.Module):
    """Every kind of convolution, then a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depth = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8)
        self.pair = nn.Conv2d(8, 6, (1, 3), groups=2, padding=(0, 1))
        self.line = nn.Conv1d(6, 5, 5, stride=2, padding=2)
        self.head = nn.Linear(5, 4)

    def forward(self, image: Tensor) -> Tensor:
        seen = torch.relu(self.stem(image))
        seen = self.pair(torch.relu(self.depth(seen)))
        return self.head(self.line(seen.flatten(2)).mean(2))


class Decoder(nn.Module):
    """A tied embedding and head around blocks that read a mask; two layers share an input."""

    def __init__(self, blocks: int = 3, hidden: int = 16) -> None:
        super().__init__()
        self.embed = nn.Embedding(40, hidden)
        self.blocks = nn.ModuleList(Block(hidden) for _ in range(blocks))
        self.head = nn.Linear(hidden, 40, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        hidden = self.embed(input_ids)
        for block in self.blocks:
            hidden = block(hidden, attention_mask=attention_mask)
        return {"logits": self.head(hidden)}


class Block(nn.Module):
    """A gated layer, with a mean over the tokens that count."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(hidden, 2 * hidden)
        self.up = nn.Linear(hidden, 2 * hidden)
        self.down = nn.Linear(2 * hidden, hidden)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        weights = (attention_mask / attention_mask.sum(1, keepdim=True)).unsqueeze(-1)
        mixed = hidden + (hidden * weights).sum(1, keepdim=True)
        return hidden + self.down(torch.relu(self.gate(mixed)) * self.up(mixed))


def image_batches(count: int, size: int = 2) -> list[Tensor]:
    return [
        torch.randn(size, 3, 12, 10, generator=torch.Generator().manual_seed(seed))
        for seed in range(count)
    ]


def token_batches(count: int, length: int = 7, kept: int = 5) -> list[dict[str, Tensor]]:
    """Batches of two sequences; the second has `kept` tokens and then padding."""
    mask = torch.ones(2, length, dtype=torch.int64)
    mask[1, kept:] = 0
    return [
        {
            "input_ids": torch.randint(
                0, 40, (2, length), generator=torch.Generator().manual_seed(seed)
            ),
            "attention_mask": mask.clone(),
        }
        for seed in range(count)
    ]


@pytest.fixture(scope="session")
def traced() -> dict[str, Model]:
    torch.manual_seed(0)
    ids = {"input_ids": {1: DYNAMIC}, "attention_mask": {1: DYNAMIC}}
    return {
        "network": trace(Network(), image_batches(1)[0], {"image": {0: DYNAMIC}}),
        "decoder": trace(Decoder(), token_batches(1)[0], ids),
    }


@pytest.fixture
def network(traced: dict[str, Model]) -> Model:
    """A copy that the test may change."""
    return replace(traced["network"], module=copy.deepcopy(traced["network"].module))


@pytest.fixture
def decoder(traced: dict[str, Model]) -> Model:
    """A copy that the test may change."""
    return replace(traced["decoder"], module=copy.deepcopy(traced["decoder"].module))


@pytest.fixture
def images() -> list[Tensor]:
    return image_batches(4)


@pytest.fixture
def tokens() -> list[dict[str, Tensor]]:
    return token_batches(4)
