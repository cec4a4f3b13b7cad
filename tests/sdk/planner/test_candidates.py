"""Mirrors sdk/lamella/planner/candidates.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lamella.errors import PlanError
from lamella.frontend.layers import Layer
from lamella.frontend.model import Model
from lamella.planner import candidates
from lamella.planner.spec import Plan, Rule
from lamella.targets.target import Target


def options(space: candidates.Space, name: str) -> dict[str, Any]:
    """Returns the options of the group that a layer is in, by format id."""
    (group,) = [group for group in space.problem.groups if name in group.layers]
    return {option.format.id: option for option in group.options}


def without(losses: Any, *pairs: tuple[str, str]) -> Any:
    kept = tuple(row for row in losses.rows if (row.layer, row.format) not in pairs)
    return replace(losses, rows=kept)


def test_options_are_what_is_measured_and_stored_beside_float(
    model: Model, losses: Any, target: Target
) -> None:
    fewer = without(losses, ("blocks.0.mlp.up", "w8"))
    space = candidates.space(model, fewer, target, Plan())
    assert set(options(space, "blocks.0.mlp.up")) == {
        "w4g32", "w8a8", "w3g32", "w6g32", "f16", "f32",
    }  # fmt: skip
    found = options(space, "blocks.0.attn.q")["w4g32"]
    assert found.nbytes == 64 * (32 + 4) + 64 * 4
    assert found.loss == pytest.approx((0.1 + 7 % 5) * 4.0**-2)
    assert found.operations == 2 * 16 * 64 * 64 / 8


def test_tied_layers_share_options_bytes_and_one_loss(
    model: Model, losses: Any, target: Target
) -> None:
    space = candidates.space(model, losses, target, Plan())
    shared = options(space, "embed")
    assert shared == options(space, "head")
    assert "w8a8" not in shared  # the head could, the embedding cannot
    assert shared["w8"].nbytes == 500 * (64 + 4)
    assert shared["w8"].loss == 3.0 * 4.0**-6


def test_a_tied_layer_is_measured_through_its_owner(
    model: Model, losses: Any, target: Target
) -> None:
    owners = replace(losses, rows=tuple(row for row in losses.rows if row.layer != "head"))
    assert options(candidates.space(model, owners, target, Plan()), "head")["w8"].loss > 0


def test_a_broken_option_is_never_offered(model: Model, losses: Any, target: Target) -> None:
    for bad in (float("nan"), float("inf")):
        rows = tuple(
            replace(row, loss=bad) if (row.layer, row.format) == ("head", "w3g32") else row
            for row in losses.rows
        )
        space = candidates.space(model, replace(losses, rows=rows), target, Plan())
        assert "w3g32" not in options(space, "embed")
        assert "w3g32" in options(space, "blocks.0.mlp.up")


def test_rules_narrow_the_options(model: Model, losses: Any, target: Target) -> None:
    recipe = Plan(
        rules=(
            Rule(role="mlp.up", options=("w8", "w2g32", "w4g32")),
            Rule(role="mlp.down", format="w6g32"),
        ),
        skip=("head",),
    )
    space = candidates.space(model, losses, target, recipe)
    assert set(options(space, "blocks.1.mlp.up")) == {"w8", "w4g32"}
    assert set(options(space, "blocks.1.mlp.down")) == {"w6g32"}
    assert set(options(space, "embed")) == {"f32"}


def test_a_rule_with_one_format_needs_no_measured_loss(
    model: Model, losses: Any, target: Target
) -> None:
    recipe = Plan(rules=(Rule(name="blocks.0.mlp.up", format="w8"),))
    fewer = without(losses, ("blocks.0.mlp.up", "w8"))
    found = options(candidates.space(model, fewer, target, recipe), "blocks.0.mlp.up")
    assert found["w8"].loss == 0


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Rule(name="blocks.0.mlp.up", options=("w2g32", "w5g32")), "no format meets the rules"),
        (Rule(name="blocks.0.mlp.up", options=("w8",)), "no loss was measured for any format"),
        (Rule(name="blocks.0.mlp.up", format="w2g32"), "cannot store w2g32 in 'blocks.0.mlp.up'"),
    ],
)
def test_a_layer_left_without_a_format_is_refused(
    model: Model, losses: Any, target: Target, rule: Rule, message: str
) -> None:
    fewer = without(losses, ("blocks.0.mlp.up", "w8"))
    with pytest.raises(PlanError, match=message):
        candidates.space(model, fewer, target, Plan(rules=(rule,)))


def test_tied_layers_that_cannot_agree_are_refused(
    model: Model, losses: Any, target: Target
) -> None:
    recipe = Plan(rules=(Rule(name="head", format="w8"), Rule(name="embed", format="w4g32")))
    with pytest.raises(PlanError, match=r"'embed' .* may be w4g32; 'head' .* may be w8"):
        candidates.space(model, losses, target, recipe)


def test_groups_join_ties_always_and_input_groups_on_request(layers: tuple[Layer, ...]) -> None:
    def names(by_input: bool) -> list[tuple[str, ...]]:
        found = candidates.group(layers, by_input=by_input)
        return [tuple(row.id for row in members) for members in found]

    assert ("embed", "head") in names(False)
    assert ("blocks.2.attn.q",) in names(False)
    assert ("blocks.2.attn.q", "blocks.2.attn.k") in names(True)
    assert ("blocks.2.mlp.up",) in names(True)
    assert sum(map(len, names(True))) == len(layers)


def test_layers_that_read_one_tensor_share_a_format_if_the_recipe_says_so(
    model: Model, losses: Any, target: Target
) -> None:
    space = candidates.space(model, losses, target, Plan(share_input_groups=True))
    together = options(space, "blocks.0.attn.q")["w4g32"]
    apart = candidates.space(model, losses, target, Plan())
    parts = [options(apart, f"blocks.0.attn.{name}")["w4g32"] for name in "qk"]
    assert together.nbytes == sum(part.nbytes for part in parts)
    assert together.loss == pytest.approx(sum(part.loss for part in parts))


def test_a_mask_that_the_target_has_no_form_for_costs_its_dense_bytes(
    model: Model, losses: Any, target: Target
) -> None:
    pruned = replace(losses.rows[0], layer="blocks.0.mlp.up", format="w8@2:4", loss=0.5)
    both = replace(losses, rows=(*losses.rows, pruned))
    found = options(candidates.space(model, both, target, Plan()), "blocks.0.mlp.up")
    assert found["w8@2:4"].nbytes == found["w8"].nbytes == 128 * (64 + 4)
