"""Mirrors sdk/lamella/api/options.py."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lamella.api.job import Job
from lamella.api.options import Options, candidate_formats
from lamella.calibration.calibrate import calibrate
from lamella.calibration.sense import sense
from lamella.errors import PlanError
from lamella.formats import parse
from lamella.frontend.trace import trace
from lamella.planner.pareto import pareto
from lamella.planner.spec import Plan, Rule
from lamella.targets.onnx.lower import OnnxTarget

TARGET = OnnxTarget()


def names(options: Options) -> dict[str, list[str]]:
    return {layer: [format.id for format in formats] for layer, formats in options.items()}


def test_each_layer_has_the_formats_of_its_own_rule(job: Job) -> None:
    rules = (
        Rule(type="depthwise2d", options=("w8", "f16")),
        Rule(type="conv2d", format="w6"),
        Rule(name="*", options=("w4g32", "f32", "w8")),
    )
    found = names(candidate_formats(job.model, Plan(rules=rules), TARGET))
    assert found == {"stem": ["w6"], "depth": ["w8", "f16"], "head": ["w4g32", "w8"]}


def test_what_the_target_cannot_store_is_not_measured(job: Job) -> None:
    rules = (Rule(name="*", options=("w8a8d", "w8")),)
    found = names(candidate_formats(job.model, Plan(rules=rules), TARGET))
    # Activations are rounded token by token in linear layers only.
    assert found == {"stem": ["w8"], "depth": ["w8"], "head": ["w8a8d", "w8"]}


def test_a_layer_without_a_rule_may_have_what_is_mentioned_or_half_precision(job: Job) -> None:
    found = names(
        candidate_formats(job.model, Plan(rules=(Rule(name="stem", format="w6"),)), TARGET)
    )
    assert found["head"] == ["w6", "f16"]


def test_skipped_layers_are_not_measured(job: Job) -> None:
    recipe = Plan(rules=(Rule(name="*", format="w8"),), skip=("head",))
    assert "head" not in candidate_formats(job.model, recipe, TARGET)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 8)
        self.body = nn.Linear(8, 8)
        self.head = nn.Linear(8, 20, bias=False)
        self.head.weight = self.table.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.body(self.table(ids)))


def test_layers_that_share_a_weight_have_what_both_may_have() -> None:
    model = trace(Tied(), {"ids": torch.arange(6).reshape(2, 3)})
    rules = (
        Rule(type="embedding", options=("w4g32", "w8", "w8g32")),
        Rule(type="linear", options=("w3g32", "w8g32", "w4g32")),
    )
    found = names(candidate_formats(model, Plan(rules=rules), TARGET))
    assert found == {"table": ["w4g32", "w8g32"], "body": ["w3g32", "w8g32", "w4g32"]}


def test_the_planner_can_choose_from_exactly_what_was_measured(job: Job) -> None:
    recipe = Plan.load("balanced")
    options = candidate_formats(job.model, recipe, TARGET)
    stats = calibrate(job.model, job.calibration)
    measured = sense(job.model, stats, options, job.calibration[:1])
    asked = {(layer, format.id) for layer, formats in options.items() for format in formats}
    assert {(row.layer, row.format) for row in measured.rows} == asked
    front = pareto(job.model, measured, TARGET, lambda plan: 0.0, recipe=recipe)
    chosen = {(row.layer, row.format) for point in front for row in point.plan.choices}
    assert chosen <= asked | {(layer, "f32") for layer in options}


def test_a_recipe_that_compresses_nothing_is_refused(job: Job) -> None:
    with pytest.raises(PlanError, match="leaves every layer in float32 on the target onnx"):
        candidate_formats(job.model, Plan(rules=(Rule(name="*", format="f32"),)), TARGET)
    assert parse("f32").bits == 32
