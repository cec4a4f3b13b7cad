"""Mirrors sdk/lamella/compression/transform/equalize.py."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lamella.compression.transform.equalize import equalize, find_pairs
from lamella.frontend.model import Model
from lamella.frontend.trace import trace


def uneven(activation: type[nn.Module]) -> nn.Sequential:
    """Returns convolution, depthwise and pointwise convolution with very unequal channels."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        activation(),
        nn.Conv2d(8, 8, 3, groups=8),
        activation(),
        nn.Conv2d(8, 4, 1),
    )
    spread = torch.logspace(-1, 1, 8)
    with torch.no_grad():
        module[0].weight *= spread.reshape(-1, 1, 1, 1)
        module[2].weight *= spread.flip(0).reshape(-1, 1, 1, 1) ** 0.5
    return module


def ranges(model: Model) -> tuple[Tensor, ...]:
    """Returns the ranges along the two joints of the chain: out of one layer, into the next."""
    first, middle, last = (model.module[i].weight.abs() for i in (0, 2, 4))
    inner = middle.amax(dim=(1, 2, 3))
    return first.amax(dim=(1, 2, 3)), inner, inner, last.amax(dim=(0, 2, 3))


def test_ranges_agree_afterwards_and_the_function_is_kept() -> None:
    model = trace(uneven(nn.ReLU), torch.randn(2, 3, 8, 8))
    result = equalize(model)
    one, two, three, four = ranges(result)
    torch.testing.assert_close(one, two, rtol=1e-2, atol=0)
    torch.testing.assert_close(three, four, rtol=1e-2, atol=0)
    before = ranges(model)
    assert (before[0] / before[1]).max() > 10
    x = torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(result.module(x), model.module(x), rtol=1e-5, atol=1e-5)
    assert [layer.id for layer in result.layers] == ["0", "2", "4"]


def test_the_triple_has_the_published_closed_form() -> None:
    model = trace(uneven(nn.ReLU), torch.randn(2, 3, 8, 8))
    one, two, _, three = ranges(model)
    found, *_ = ranges(equalize(model))
    torch.testing.assert_close(found, (one * two * three) ** (1 / 3), rtol=1e-2, atol=0)


def test_bounded_activations_are_skipped() -> None:
    model = trace(uneven(nn.ReLU6), torch.randn(2, 3, 8, 8))
    assert list(find_pairs(model)) == []
    assert equalize(model) is model


def test_relu6_is_replaced_only_if_the_outputs_allow_it() -> None:
    model = trace(uneven(nn.ReLU6), torch.randn(2, 3, 8, 8))
    small, large = torch.randn(4, 3, 8, 8) * 0.1, torch.randn(4, 3, 8, 8) * 10
    assert float(model.module[1](model.module[0](large)).max()) == 6
    refused = equalize(model, relu6_bound=0.01, batches=[small, large])
    assert refused is model
    allowed = equalize(model, relu6_bound=0.01, batches=[small])
    assert not any(isinstance(part, nn.ReLU6) for part in allowed.module.modules())
    torch.testing.assert_close(allowed.module(small), model.module(small), rtol=1e-5, atol=1e-5)


class Fork(nn.Module):
    """A layer whose output two readers share, and one that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.left, self.right = (nn.Linear(6, 6) for _ in range(3))
        self.again, self.last = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        x = self.left(x) + self.right(x)
        return self.last(self.again(self.again(x)).relu()).sigmoid()


def test_forks_and_repeated_layers_form_no_pairs() -> None:
    assert list(find_pairs(trace(Fork(), torch.randn(2, 6)))) == []


@pytest.mark.parametrize("between", [nn.GELU(), nn.SiLU(), nn.Sigmoid(), nn.LayerNorm(6)])
def test_what_is_not_homogeneous_joins_no_pair(between: nn.Module) -> None:
    model = trace(nn.Sequential(nn.Linear(6, 6), between, nn.Linear(6, 6)), torch.randn(2, 6))
    assert list(find_pairs(model)) == []


@pytest.mark.parametrize("between", [nn.ReLU(), nn.LeakyReLU(0.1), nn.PReLU(8), nn.MaxPool2d(2)])
def test_what_is_homogeneous_joins_a_pair_and_keeps_the_function(between: nn.Module) -> None:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Conv2d(3, 8, 3), between, nn.Conv2d(8, 6, 3, groups=2))
    model = trace(module, torch.randn(1, 3, 12, 12))
    assert len(list(find_pairs(model))) == 1
    x = torch.randn(2, 3, 12, 12)
    torch.testing.assert_close(equalize(model).module(x), model.module(x), rtol=1e-5, atol=1e-5)


def test_dead_channels_are_left_alone() -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        module[0].weight[1] = 0
        module[2].weight[:, 2] = 0
    model = trace(module, torch.randn(2, 4))
    result = equalize(model)
    assert all(bool(p.isfinite().all()) for p in result.module.parameters())
    assert torch.equal(result.module[2].weight[:, 1], model.module[2].weight[:, 1])
