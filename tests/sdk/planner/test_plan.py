"""Mirrors sdk/lamella/planner/plan.py, front.py and search.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamella.errors import PlanError
from lamella.frontend.model import Model
from lamella.planner.plan import pareto, plan, uniform
from lamella.planner.search import EVALUATIONS, TOLERANCE
from lamella.planner.spec import Budget, Plan, Rule, Settings
from lamella.targets.target import Target

FORMATS = ("w3g32", "w4g32", "w6g32", "w8", "f16", "f32")


def additive(given: Plan, losses: Any) -> float:
    """The sum of single losses, the tied head counted once."""
    table = {(row.layer, row.format): row.loss for row in losses.rows}
    return sum(table.get((c.layer, c.format), 0.0) for c in given.choices if c.layer != "head")


@dataclass
class Truth:
    """A true loss that differs from the sum of single losses, and counts its calls."""

    losses: Any
    law: Callable[[float], float] = lambda loss: 3 * loss**1.3
    calls: list[str] = field(default_factory=list)

    def __call__(self, given: Plan) -> float:
        self.calls.append(given.hash)
        return self.law(additive(given, self.losses))


def size(given: Plan) -> int:
    return int(given.promised["size_bytes"])


def test_a_size_is_kept_and_counts_the_whole_file(
    model: Model, losses: Any, target: Target
) -> None:
    found = plan(model, losses, target, Budget(size=60_000))
    assert size(found) <= 60_000
    outside = 100 * 4 + 20 * 250
    assert size(found) == outside + sum(choice.nbytes for choice in found.choices)
    assert found.promised["average_bits"] == pytest.approx(
        8 * size(found) / model.parameters, abs=1e-4
    )
    assert found.promised["expected_loss"] == pytest.approx(additive(found, losses), rel=1e-5)
    assert found.choice("head").format == found.choice("embed").format
    assert [choice.layer for choice in found.choices] == [layer.id for layer in model.layers]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.floats(0, 1))
def test_never_over_size_and_never_worse_than_a_uniform_plan(
    model: Model, losses: Any, target: Target, share: float
) -> None:
    controls = [uniform(model, name, target) for name in FORMATS]
    low, high = size(controls[0]), size(controls[-1])
    budget = round(low + share * (high - low))
    found = plan(model, losses, target, Budget(size=budget))
    assert size(found) <= budget
    for control in controls:
        if size(control) <= budget:
            assert additive(found, losses) <= additive(control, losses) * (1 + 1e-9)


def test_average_bits_cap_all_bytes_over_all_parameters(
    model: Model, losses: Any, target: Target
) -> None:
    found = plan(model, losses, target, Budget(average_bits=7.0))
    assert 8 * size(found) / model.parameters <= 7.0


def test_a_size_out_of_reach_names_the_smallest(model: Model, losses: Any, target: Target) -> None:
    smallest = size(uniform(model, "w3g32", target))
    with pytest.raises(PlanError, match=f"smallest reachable size is {smallest:,} bytes"):
        plan(model, losses, target, Budget(size=smallest - 1))


def test_without_evaluation_the_drop_limits_the_sum_of_losses(
    model: Model, losses: Any, target: Target
) -> None:
    found = plan(model, losses, target, Budget(max_drop=0.5))
    assert additive(found, losses) <= 0.5
    rival = plan(model, losses, target, Budget(size=size(found) - 1))
    assert additive(rival, losses) > 0.5


@pytest.mark.parametrize("max_drop", [0.003, 0.05, 0.7, 6.0])
def test_the_loop_finds_the_least_size_whose_true_drop_fits(
    model: Model, losses: Any, target: Target, max_drop: float
) -> None:
    truth = Truth(losses)
    found = plan(model, losses, target, Budget(max_drop=max_drop, metric="kl"), evaluate=truth)
    assert truth.law(additive(found, losses)) <= max_drop
    assert found.promised["drop"] == pytest.approx(truth.law(additive(found, losses)), rel=1e-5)
    assert found.promised["metric"] == "kl"
    assert len(truth.calls) == len(set(truth.calls)) == found.promised["evaluations"]
    assert len(truth.calls) <= EVALUATIONS + 1
    rival = plan(model, losses, target, Budget(size=int(size(found) * (1 - 2 * TOLERANCE))))
    assert truth.law(additive(rival, losses)) > max_drop


def test_a_loose_drop_gives_the_smallest_plan_and_none_gives_float(
    model: Model, losses: Any, target: Target
) -> None:
    loose = plan(model, losses, target, Budget(max_drop=1e9), evaluate=Truth(losses))
    assert size(loose) == size(uniform(model, "w3g32", target))
    exact = plan(model, losses, target, Budget(max_drop=0.0), evaluate=Truth(losses))
    assert {choice.format for choice in exact.choices} == {"f32"}


def test_a_truth_that_is_not_monotone_still_gives_a_verified_plan(
    model: Model, losses: Any, target: Target
) -> None:
    def jagged(given: Plan) -> float:
        return additive(given, losses) * (2.5 if int(given.hash[:2], 16) % 3 else 0.4)

    found = plan(model, losses, target, Budget(max_drop=0.3), evaluate=jagged)
    assert jagged(found) <= 0.3
    assert found.promised["drop"] == pytest.approx(jagged(found), rel=1e-5)


def test_a_plan_whose_truth_is_nan_does_not_fit(model: Model, losses: Any, target: Target) -> None:
    def broken(given: Plan) -> float:
        loss = additive(given, losses)
        return loss if loss < 0.1 else float("nan")

    found = plan(model, losses, target, Budget(max_drop=1.0), evaluate=broken)
    assert additive(found, losses) < 0.1


def test_size_and_drop_together_hold_or_are_refused_with_what_is_possible(
    model: Model, losses: Any, target: Target
) -> None:
    truth = Truth(losses)
    free = plan(model, losses, target, Budget(max_drop=0.05), evaluate=truth)
    both = Budget(size=size(free) + 2_000, max_drop=0.05)
    assert size(plan(model, losses, target, both, evaluate=truth)) <= size(free) + 2_000
    cap = round(size(free) * 0.8)
    small = Budget(size=cap, max_drop=0.05, metric="kl")
    best = additive(plan(model, losses, target, Budget(size=cap)), losses)
    with pytest.raises(PlanError) as raised:
        plan(model, losses, target, small, evaluate=truth)
    text = str(raised.value)
    assert f"a kl of 0.05 needs at least {size(free):,} bytes" in text
    assert f"allows {cap:,}, where the kl is {truth.law(best):.4g}" in text


def test_a_drop_that_no_plan_reaches_is_refused(model: Model, losses: Any, target: Target) -> None:
    with pytest.raises(PlanError, match=r"most careful plan has a loss of 0\.2, 0.1 is allowed"):
        plan(model, losses, target, Budget(max_drop=0.1), evaluate=lambda _: 0.2)


def test_a_share_of_integer_flops_is_kept_at_the_least_loss(
    model: Model, losses: Any, target: Target
) -> None:
    free = plan(model, losses, target, Budget(size=10**6))
    assert free.promised["integer_flops"] == 0
    found = plan(model, losses, target, Budget(size=10**6, integer_flops=0.3))
    assert 0.3 <= float(found.promised["integer_flops"]) < 0.6
    # The head could read int8, but shares its weight with an embedding, which cannot.
    most = 1 - 500 * 64 / (500 * 64 + 4 * (64 * 64 + 32 * 64 + 2 * 128 * 64))
    with pytest.raises(PlanError, match="int8 activations"):
        plan(model, losses, target, Budget(size=10**6, integer_flops=most + 0.01))


def test_minimising_operations_trades_bytes_for_integer_arithmetic(
    model: Model, losses: Any, target: Target
) -> None:
    by_bytes = plan(model, losses, target, Budget(max_drop=0.5), evaluate=Truth(losses))
    by_flops = plan(
        model, losses, target, Budget(max_drop=0.5, minimise="flops"), evaluate=Truth(losses)
    )
    assert by_flops.promised["drop"] <= 0.5
    assert by_flops.promised["integer_flops"] > by_bytes.promised["integer_flops"]
    assert size(by_flops) >= size(by_bytes)


def test_equal_inputs_give_equal_bytes(
    model: Model, losses: Any, target: Target, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        budget = Budget(max_drop=0.2)
        plan(model, losses, target, budget, evaluate=Truth(losses)).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert Plan.load(tmp_path / "a").choices


def test_the_recipe_gives_rules_and_settings(model: Model, losses: Any, target: Target) -> None:
    recipe = Plan(
        rules=(Rule(role="mlp.*", format="w8"),), skip=("embed",), settings=Settings(seed=7)
    )
    found = plan(model, losses, target, Budget(size=10**6), recipe=recipe)
    assert found.settings.seed == 7
    assert found.choice("embed").rule == "skip: embed"
    assert found.choice("head").format == "f32"
    assert found.choice("blocks.3.mlp.up").rule == "role: mlp.*"
    assert found.choice("blocks.3.mlp.up").support == "kernel"
    assert found.rules == recipe.rules


@pytest.mark.parametrize("name", ["balanced", "int8"])
def test_shipped_recipes_fit_a_transformer(
    model: Model, losses: Any, target: Target, name: str
) -> None:
    recipe = Plan.load(name)
    found = plan(model, losses, target, Budget(size=150_000), recipe=recipe)
    assert size(found) <= 150_000


def test_a_uniform_plan_falls_back_where_the_target_cannot(model: Model, target: Target) -> None:
    control = uniform(model, "w8a8", target)
    assert control.choice("blocks.0.mlp.up").format == "w8a8"
    assert control.choice("embed").format == control.choice("head").format == "w8"
    assert uniform(model, "w2g32", target).choice("embed").format == "f16"


def test_the_front_has_distinct_points_spread_in_size_with_measured_drops(
    model: Model, losses: Any, target: Target
) -> None:
    truth = Truth(losses)
    points = pareto(model, losses, target, truth)
    assert len(points) == 8
    assert len(truth.calls) == 8
    sizes = [point.nbytes for point in points]
    assert sizes == sorted(set(sizes))
    assert sizes == [size(point.plan) for point in points]
    assert [point.drop for point in points] == [
        truth.law(additive(point.plan, losses)) for point in points
    ]
    assert max(b / a for a, b in pairwise(sizes)) < (sizes[-1] / sizes[0]) ** 0.4
    assert sizes[0] == size(uniform(model, "w3g32", target))


def test_every_point_of_the_front_is_the_best_of_its_size(
    model: Model, losses: Any, target: Target
) -> None:
    for point in pareto(model, losses, target, Truth(losses), 12):
        best = plan(model, losses, target, Budget(size=point.nbytes))
        assert additive(point.plan, losses) == pytest.approx(additive(best, losses), rel=1e-9)


def test_a_front_of_few_allocations_has_them_all(model: Model, losses: Any, target: Target) -> None:
    recipe = Plan(
        rules=(
            Rule(re="embed|head", options=("w4g32", "w8")),
            Rule(name="blocks.0.mlp.up", options=("w4g32", "w8")),
            Rule(name="*", format="w8"),
        )
    )
    points = pareto(model, losses, target, Truth(losses), recipe=recipe)
    assert len(points) == 4


def test_a_front_of_one_point_is_refused(model: Model, losses: Any, target: Target) -> None:
    with pytest.raises(PlanError, match="at least 2 points, not 1"):
        pareto(model, losses, target, Truth(losses), 1)
