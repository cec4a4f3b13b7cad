"""Mirrors sdk/lamella/planner/rules.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lamella.errors import PlanError
from lamella.frontend.layers import Layer
from lamella.frontend.model import Model
from lamella.planner import rules
from lamella.planner.spec import Choice, Plan, Rule
from lamella.targets.target import Target

BLOCKS = 4


def accepted(layers: tuple[Layer, ...], **matchers: Any) -> list[str]:
    rule = Rule(format="w8", **matchers)
    return [row.id for row in layers if rules.matches(rule, row, BLOCKS)]


def blocks_of(layers: tuple[Layer, ...], depth: Any) -> list[int]:
    found = {row.block for row in layers if row.id in accepted(layers, depth=depth)}
    return sorted(block for block in found if block is not None)


def test_matchers_of_every_kind_accept_what_they_say(layers: tuple[Layer, ...]) -> None:
    assert accepted(layers, name="blocks.1.attn.*") == ["blocks.1.attn.q", "blocks.1.attn.k"]
    assert accepted(layers, re=r"blocks\.[01]\.mlp\.up") == ["blocks.0.mlp.up", "blocks.1.mlp.up"]
    assert accepted(layers, re="blocks") == []
    assert accepted(layers, type="embedding") == ["embed"]
    assert accepted(layers, role="mlp.*", depth=-1) == ["blocks.3.mlp.up", "blocks.3.mlp.down"]
    assert accepted(layers, role="head", type="embedding") == []


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (0, [0]),
        (-1, [3]),
        ("1-2", [1, 2]),
        ("2-9", [2, 3]),
        (9, []),
        (0.25, [0]),
        ("0.5", [0, 1]),
        (-0.25, [3]),
        ("0.25-0.75", [1, 2]),
        ("0.5-1.0", [2, 3]),
        (1.0, [0, 1, 2, 3]),
    ],
)
def test_depths_are_blocks_or_shares(
    layers: tuple[Layer, ...], depth: Any, expected: list[int]
) -> None:
    assert blocks_of(layers, depth) == expected


def test_a_layer_outside_of_blocks_has_no_depth(layers: tuple[Layer, ...]) -> None:
    assert "embed" not in accepted(layers, depth="0.0-1.0")


def test_the_first_rule_wins_and_skip_comes_before_all(layers: tuple[Layer, ...]) -> None:
    plan = Plan(
        rules=(Rule(role="mlp.*", format="w8"), Rule(name="blocks.*", format="w4g32")),
        skip=("blocks.0.mlp.up",),
    )
    won = rules.wins(plan, layers)
    assert won["blocks.0.mlp.up"].label == "skip: blocks.0.mlp.up"
    assert won["blocks.0.mlp.down"].label == "role: mlp.*"
    assert won["blocks.0.attn.q"].label == "name: blocks.*"
    assert won["embed"].label == rules.DEFAULT


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"name": "blocks.0.attn.w"}, "'name: blocks.0.attn.w' names no layer; did you mean"),
        ({"name": "blokcs.3.mlp.up"}, "did you mean 'blocks.3.mlp.up'"),
        ({"role": "mlp.upp"}, "'role: mlp.upp' names no layer; did you mean 'mlp.up'"),
        ({"type": "conv1d"}, "'type: conv1d' names no layer; there are 'embedding', 'linear'"),
        ({"depth": 7}, "'depth: 7' names no layer; there are '0', '1', '2', '3'"),
        ({"re": "^head.weight$"}, r"'re: \^head.weight\$' names no layer; did you mean 'head'"),
    ],
)
def test_a_rule_that_names_no_layer_is_refused_with_near_ones(
    layers: tuple[Layer, ...], rule: dict[str, Any], message: str
) -> None:
    with pytest.raises(PlanError, match=message):
        rules.wins(Plan(rules=(Rule(format="w8", **rule),)), layers)


def test_a_skip_that_names_no_layer_is_refused(layers: tuple[Layer, ...]) -> None:
    with pytest.raises(PlanError, match="skip 'heads' names no layer; did you mean 'head'"):
        rules.wins(Plan(skip=("heads",)), layers)


def test_an_optional_rule_may_name_nothing_but_not_all_of_them(layers: tuple[Layer, ...]) -> None:
    nothing = Rule(type="conv2d", format="w8", optional=True)
    something = Rule(name="head", format="w8")
    assert rules.wins(Plan(rules=(nothing, something)), layers)["head"].fixed
    with pytest.raises(PlanError, match="no rule of the plan accepts a layer"):
        rules.wins(Plan(rules=(nothing,)), layers)


def test_rules_alone_resolve_to_a_plan_with_exact_bytes(model: Model, target: Target) -> None:
    plan = rules.resolve(Plan(rules=(Rule(role="mlp.*", format="Q4_0"),)), model, target)
    assert plan.choice("embed").format == "f32"
    up = plan.choice("blocks.0.mlp.up")
    # 128 rows of 64 weights in 4 bits, with two float16 scales a row.
    assert (up.format, up.nbytes, up.bits) == ("w4g32", 128 * (32 + 4), 4.5)
    assert up.support == "kernel"
    assert plan.promised["size_bytes"] == (
        500 * 64 * 4  # the token table, which the head shares
        + 4 * (64 * 64 * 4 + 64 * 4 + 32 * 64 * 4)  # attention in float32, with one bias
        + 4 * (128 * 36 + 64 * (64 + 8))  # both MLP weights in 4 bits
        + 100 * 4  # parameters outside of the table
        + 20 * 250  # operators
    )


def test_a_rule_that_leaves_a_choice_needs_the_allocator(model: Model) -> None:
    plan = Plan(rules=(Rule(name="head", options=("w8", "w4g32")),))
    with pytest.raises(PlanError, match="'name: head' leaves 'head' a choice"):
        rules.resolve(plan, model)


def test_a_format_that_the_target_lacks_is_refused(model: Model, target: Target) -> None:
    plan = Plan(rules=(Rule(name="embed", format="w8a8"),))
    with pytest.raises(
        PlanError, match=r"cannot store w8a8 in 'embed' \(embedding\); the nearest that it can are"
    ):
        rules.resolve(plan, model, target)


def test_refreshing_counts_again_what_was_edited_and_keeps_the_rest(
    model: Model, target: Target
) -> None:
    plan = rules.resolve(Plan(rules=(Rule(name="blocks.*", format="w8"),)), model, target)
    rows = [replace(c, format="w4g32") if c.layer == "blocks.0.attn.k" else c for c in plan.choices]
    fresh = rules.refresh(replace(plan, choices=tuple(rows)), model, target)
    edited = fresh.choice("blocks.0.attn.k")
    assert (edited.rule, edited.nbytes, edited.bits) == ("by hand", 32 * 36, 4.5)
    assert fresh.choice("blocks.1.attn.k") == plan.choice("blocks.1.attn.k")
    saved = int(plan.promised["size_bytes"]) - int(fresh.promised["size_bytes"])
    assert saved == 32 * (64 + 4) - 32 * 36


def test_a_plan_for_another_model_is_refused(model: Model, target: Target) -> None:
    plan = rules.resolve(Plan(), model, target)
    missing = replace(plan, choices=plan.choices[1:])
    with pytest.raises(PlanError, match="nothing about the layer 'embed'"):
        rules.refresh(missing, model)
    extra = replace(plan, choices=(*plan.choices, Choice("hed", "w8")))
    with pytest.raises(PlanError, match="the plan has a layer 'hed'; did you mean 'head'"):
        rules.refresh(extra, model)


def test_a_model_without_blocks_has_rules_too(make_layer: Callable[..., Layer]) -> None:
    layers = (make_layer("a", 4, 4),)
    assert rules.wins(Plan(rules=(Rule(name="a", format="w8"),)), layers)["a"].fixed
