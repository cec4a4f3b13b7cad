"""A small classifier with fixed random weights and planted classes; nothing is trained.

The images are prototypes with noise. The last layer holds the features of the prototypes, so that
answers follow the classes and depend on every layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

NAME, LICENCE, METRIC = "tiny", "Apache-2.0", "relative"
CLASSES, SIZE = 10, 12
DYNAMIC_SHAPES = {"image": {0: torch.export.Dim.DYNAMIC}}


class Tiny(nn.Module):
    """(batch, 3, 12, 12) float32 images to (batch, 10) logits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(16)
        self.depth = nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False)
        self.depth_norm = nn.BatchNorm2d(16)
        self.point = nn.Conv2d(16, 32, 1)
        self.hidden = nn.Linear(128, 24)
        self.head = nn.Linear(24, CLASSES)

    def features(self, image: Tensor) -> Tensor:
        x = torch.relu(self.stem_norm(self.stem(image)))
        x = torch.relu(self.depth_norm(self.depth(x)))
        x = nn.functional.avg_pool2d(torch.relu(self.point(x)), 3).flatten(1)
        return torch.relu(self.hidden(x))

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(image))
        return logits


def prototypes() -> Tensor:
    return torch.randn(CLASSES, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(7))


def model() -> nn.Module:
    net = Tiny().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in net.parameters():
            fan = tensor[0].numel()
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * (2 / fan) ** 0.5)
        for norm in (net.stem_norm, net.depth_norm):
            norm.weight.copy_(1 + torch.rand(16, generator=generator))
            norm.bias.copy_(0.2 * torch.randn(16, generator=generator))
            norm.running_mean.copy_(0.1 * torch.randn(16, generator=generator))
            norm.running_var.copy_(0.5 + torch.rand(16, generator=generator))
        for layer in (net.point, net.hidden):
            layer.bias.mul_(0.1)
        seen = net.features(prototypes())
        centred = seen - seen.mean(0)
        net.head.weight.copy_(centred)
        net.head.bias.copy_(-(centred * seen.mean(0)).sum(1) - centred.square().sum(1) / 2)
    return net


def images(count: int, seed: int) -> Tensor:
    """Returns (count, 3, 12, 12) images of the classes in turn."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, 3, SIZE, SIZE, generator=generator)
    return prototypes()[torch.arange(count) % CLASSES] + 0.5 * noise


def example_inputs() -> dict[str, Tensor]:
    return {"image": images(2, seed=0)}


def calibration() -> list[dict[str, Tensor]]:
    return [{"image": part} for part in images(96, seed=1).split(24)]


def evaluation() -> list[dict[str, Tensor]]:
    return [{"image": part} for part in images(80, seed=2).split(20)]
