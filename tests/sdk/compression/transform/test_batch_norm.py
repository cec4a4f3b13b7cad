"""Mirrors sdk/lamella/compression/transform/batch_norm.py."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lamella.compression.transform.batch_norm import find_pairs, fold_batch_norm, folded
from lamella.frontend.trace import trace


def settled(module: nn.Module, seed: int = 0) -> nn.Module:
    """Gives every normalisation statistics and parameters that are not trivial."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean.normal_(generator=generator)
            part.running_var.uniform_(0.2, 3, generator=generator)
            if part.affine:
                nn.init.normal_(part.weight, 1, 0.5, generator=generator)
                nn.init.normal_(part.bias, generator=generator)
    return module.eval()


class Residual(nn.Module):
    """A block in which one normalisation can be folded and four cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.branch = nn.Conv2d(4, 4, 1)
        self.branch_norm = nn.BatchNorm2d(4)
        self.twice = nn.Conv2d(4, 4, 1)
        self.twice_norm = nn.BatchNorm2d(4)
        self.first_norm = nn.BatchNorm2d(4)
        self.left, self.right = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.both_norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(self.first_norm(x))).relu()
        y = self.branch(x)
        x = self.branch_norm(y) + y
        x = self.both_norm(self.left(x)) + self.both_norm(self.right(x))
        return self.twice_norm(self.twice(self.twice_norm(self.twice(x))))


CHAIN = [
    nn.Conv2d(3, 8, 3, bias=False),
    nn.BatchNorm2d(8),
    nn.ReLU6(),
    nn.Conv2d(8, 16, 3, groups=8),
    nn.BatchNorm2d(16, affine=False),
    nn.Flatten(),
    nn.Linear(16 * 36, 5, bias=False),
    nn.BatchNorm1d(5),
]


def test_the_function_is_kept_and_every_normalisation_of_a_chain_is_gone() -> None:
    model = trace(settled(nn.Sequential(*CHAIN)), torch.randn(2, 3, 10, 10))
    result = fold_batch_norm(model)
    x = torch.randn(4, 3, 10, 10, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(result.module(x), model.module(x), rtol=1e-5, atol=1e-5)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in result.module.modules())
    assert type(result.module) is type(model.module)
    assert isinstance(result.module[1], nn.Identity)
    assert [layer.id for layer in result.layers] == [layer.id for layer in model.layers]
    assert all(layer.has_bias for layer in result.layers)
    assert [layer.has_bias for layer in model.layers] == [False, True, False]


@pytest.mark.parametrize("layer", [nn.Conv2d(4, 6, 3, groups=2), nn.Conv2d(4, 6, 3, bias=False)])
def test_in_float64_the_fold_is_exact_to_ten_digits(layer: nn.Conv2d) -> None:
    pair = settled(nn.Sequential(layer, nn.BatchNorm2d(6))).double()
    weight, bias = folded(pair[0], pair[1])
    x = torch.randn(2, 4, 7, 7, dtype=torch.float64)
    found = nn.functional.conv2d(x, weight, bias, groups=layer.groups)
    torch.testing.assert_close(found, pair(x), rtol=1e-10, atol=1e-10)


def test_only_a_normalisation_that_alone_reads_a_private_layer_is_folded() -> None:
    model = trace(settled(Residual()), torch.randn(2, 4, 6, 6))
    assert [(pair.layer, pair.norm) for pair in find_pairs(model)] == [("conv", "norm")]
    result = fold_batch_norm(model)
    x = torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(result.module(x), model.module(x), rtol=1e-5, atol=1e-5)


def test_a_weight_that_two_layers_share_is_left_alone() -> None:
    module = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.ReLU())
    module[2].weight = module[0].weight
    model = trace(settled(module), torch.randn(1, 4, 4, 4))
    assert fold_batch_norm(model) is model


def test_a_normalisation_over_tokens_is_not_mistaken_for_one_over_features() -> None:
    module = settled(nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6)))
    model = trace(module, torch.randn(2, 6, 6))
    assert fold_batch_norm(model) is model


def test_a_subclass_that_may_do_more_is_left_alone() -> None:
    class Activated(nn.BatchNorm2d):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input).relu()

    model = trace(settled(nn.Sequential(nn.Conv2d(3, 4, 1), Activated(4))), torch.randn(1, 3, 4, 4))
    assert fold_batch_norm(model) is model


def test_names_and_attachments_travel_on() -> None:
    module = settled(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)))
    model = trace(module, {"input": torch.randn(1, 3, 4, 4)}, name="tiny", licence="MIT")
    model.attachments["labels.txt"] = b"cat"
    result = fold_batch_norm(model)
    assert (result.name, result.licence) == ("tiny", "MIT")
    assert result.attachments == {"labels.txt": b"cat"}
    assert set(result.kwargs) == {"input"}
