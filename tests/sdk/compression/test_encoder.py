"""Mirrors sdk/lamella/compression/encoder.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lamella.calibration.calibrate import calibrate
from lamella.calibration.sense import sense
from lamella.compression.compress import compress
from lamella.compression.encoder import encoder
from lamella.formats import parse
from lamella.frontend.model import Model
from lamella.frontend.trace import trace
from lamella.planner.spec import Choice, Plan, Settings

# Sensitivity looks at codes alone; a corrected bias would be more than that.
SETTINGS = Settings(bias_correction=False)
FORMATS = ("w3g32", "w4g32z")


class Tied(nn.Module):
    """A table of tokens that is also the head, with one layer between."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(24, 32)
        self.body = nn.Linear(32, 32)
        self.head = nn.Linear(32, 24, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: Tensor) -> Tensor:
        result: Tensor = self.head(self.body(self.embed(ids)).relu())
        return result


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    return trace(Tied(), tokens(0))


def tokens(seed: int) -> Tensor:
    return torch.randint(24, (4, 10), generator=torch.Generator().manual_seed(seed))


def alone(model: Model, layer: str, format: str) -> Plan:
    """Returns the plan that changes one weight only."""
    users = {layer} | {row.id for row in model.layers if row.tied_to == layer}
    choices = [Choice(row.id, format if row.id in users else "f32") for row in model.layers]
    return Plan(choices=tuple(choices), settings=SETTINGS)


def test_a_layer_is_measured_with_the_codes_it_will_be_packed_in(
    model: Model, tmp_path: Path
) -> None:
    stats, held_out = calibrate(model, [tokens(1), tokens(2)]), tokens(3)
    found = sense(
        model,
        stats,
        [parse(name) for name in FORMATS],
        [held_out],
        encode=encoder(model, SETTINGS, stats, tmp_path),
        metric="relative",
    )
    solved = set(tmp_path.iterdir())
    reference = model.module(held_out).detach().double()
    for row in found.rows:
        plan = alone(model, row.layer, row.format)
        changed = compress(model, plan, stats, journal=tmp_path).module(held_out).detach().double()
        expected = ((changed - reference).square().sum() / reference.square().sum()).item()
        assert row.loss == pytest.approx(expected, rel=1e-4)
    # Compression found every quantized layer solved, and only added those left in float32.
    added = set(tmp_path.iterdir()) - solved
    assert len(solved) == len(found.rows)
    assert len(added) == len({row.layer for row in found.rows})


def test_other_settings_are_another_key_and_give_other_codes(model: Model) -> None:
    stats = calibrate(model, [tokens(1), tokens(2)])
    plain = encoder(model, replace(SETTINGS, solver="rtn"), stats)
    gptq = encoder(model, SETTINGS, stats)
    assert plain.key != gptq.key
    layer = model.layer("body")
    weight, format = model.weight(layer), parse("w3g32")
    codes = [each(layer, weight, format, None).codes for each in (plain, gptq)]
    assert not np.array_equal(*codes)
