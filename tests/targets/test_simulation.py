"""Mirrors targets/simulation.py."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lamella.frontend.model import Compressed, Model
from lamella.frontend.trace import trace
from lamella.targets.simulation import without_simulation


@pytest.fixture
def hooked() -> tuple[Model, list[str]]:
    """A model of two layers, both with hooks; only the first has 8-bit activations."""
    torch.manual_seed(0)
    model = trace(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).eval(), (torch.ones(1, 4),))
    called: list[str] = []
    for index, name in ((0, "first"), (0, "second"), (1, "other")):
        model.module[index].register_forward_pre_hook(
            lambda *_args, name=name, **_kwargs: called.append(name)
        )
    model.packed["0"] = Compressed("w8a8d")
    model.packed["1"] = Compressed("w8")
    return model, called


def test_hooks_of_rounded_layers_are_off_inside(hooked: tuple[Model, list[str]]) -> None:
    model, called = hooked
    with without_simulation(model) as module:
        module(torch.ones(1, 4))
    assert called == ["other"]


def test_hooks_are_back_in_their_order_afterwards(hooked: tuple[Model, list[str]]) -> None:
    model, called = hooked
    with without_simulation(model):
        pass
    model.module(torch.ones(1, 4))
    assert called == ["first", "second", "other"]


def test_hooks_are_back_after_an_error(hooked: tuple[Model, list[str]]) -> None:
    model, _ = hooked
    with pytest.raises(ValueError, match="stop"), without_simulation(model):
        raise ValueError("stop")
    assert len(model.module[0]._forward_pre_hooks) == 2
