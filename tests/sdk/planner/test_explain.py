"""Mirrors sdk/lamella/planner/explain.py."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from lamella.frontend.model import Model
from lamella.planner.plan import plan
from lamella.planner.spec import Budget, Choice, Plan
from lamella.targets.target import Target


def shown(given: Plan) -> str:
    console = Console(width=200, record=True, file=StringIO())
    console.print(given.table())
    return console.export_text()


def test_the_table_shows_every_layer_its_rule_and_the_totals(
    model: Model, losses: Any, target: Target
) -> None:
    found = plan(model, losses, target, Budget(size=70_000), evaluate=lambda _: 0.25)
    text = shown(found)
    for choice in found.choices:
        (line,) = [line for line in text.splitlines() if f" {choice.layer} " in line]
        assert choice.format in line
        assert f"{choice.nbytes:,}" in line
        assert choice.rule in line
    assert "kernel" in text
    assert "size only" in text
    assert f"{found.promised['size_bytes']:,}" in text
    assert f"{found.promised['average_bits']:.2f}" in text
    assert "measured loss 0.25" in text


def test_a_loss_that_nobody_measured_is_not_shown_as_zero() -> None:
    assert "not measured" in shown(Plan(choices=(Choice("a", "w8"),)))
