"""Mirrors sdk/lamella/api/fitting.py: the loop, with files of sizes that are made up."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lamella.api import fitting
from lamella.api.fitting import ATTEMPTS, Packed, fitted
from lamella.api.run import Request, Run
from lamella.errors import PlanError
from lamella.planner.spec import Budget, Plan

LEAST = 5_000


@pytest.fixture
def budgets(monkeypatch: pytest.MonkeyPatch) -> list[Budget]:
    """Makes plans exactly as large as allowed, from 5000 to 50000 bytes, and notes the budgets."""
    seen: list[Budget] = []

    def carried_out(run: Run, sensitivity: Any, trials: Any, budget: Budget) -> Packed:
        seen.append(budget)
        assert budget.size is None or budget.size >= LEAST
        size = 50_000 if budget.size is None else min(budget.size, 50_000)
        plan = Plan(promised={"size_bytes": size})
        surplus = cast("Any", run.work)(size)
        return Packed(plan, cast("Any", None), size + surplus)

    front = SimpleNamespace(cheapest=lambda: SimpleNamespace(nbytes=LEAST))
    monkeypatch.setattr(fitting, "carried_out", carried_out)
    monkeypatch.setattr(fitting, "front", lambda *args: front)
    return seen


def run(budget: Budget, surplus: Any) -> Run:
    model = SimpleNamespace(parameters=40_000)
    job = SimpleNamespace(decides="kl", model=model)
    request = Request("spec", "onnx", Path(), budget)
    # `work` carries the made-up difference between a file and its plan.
    return cast("Any", Run)(request, None, Plan(), {}, surplus, job, print)


def made(budget: Budget, surplus: Any) -> Packed:
    return fitted(run(budget, surplus), cast("Any", None), cast("Any", None))


def test_a_file_that_fits_is_made_once(budgets: list[Budget]) -> None:
    assert made(Budget(size=20_000), lambda size: 0).size_bytes == 20_000
    assert [budget.metric for budget in budgets] == ["kl"]


def test_without_a_size_any_file_fits(budgets: list[Budget]) -> None:
    assert made(Budget(max_drop=0.1), lambda size: 9_999).size_bytes == 59_999
    assert len(budgets) == 1


def test_what_a_file_has_besides_the_plan_is_taken_off_the_next_plan(budgets: list[Budget]) -> None:
    found = made(Budget(size=20_000), lambda size: 3_000)
    assert found.size_bytes == 20_000
    assert [budget.size for budget in budgets] == [20_000, 17_000]


def test_bits_per_weight_are_kept_by_the_file_too(budgets: list[Budget]) -> None:
    found = made(Budget(average_bits=4.0), lambda size: 3_000 if size else 0)
    assert found.size_bytes <= 20_000
    assert all(budget.average_bits is None for budget in budgets[1:])


def test_a_surplus_that_grows_as_plans_shrink_is_caught_up_with(budgets: list[Budget]) -> None:
    found = made(Budget(size=20_000), lambda size: 8_000 - size // 4)
    assert found.size_bytes <= 20_000
    assert 2 < len(budgets) <= ATTEMPTS + 1


def test_the_smallest_plan_is_tried_last_and_its_size_is_named(budgets: list[Budget]) -> None:
    with pytest.raises(
        PlanError, match=r"smallest plan gives a file of 12,000 bytes, the budget allows 9,000"
    ):
        made(Budget(size=9_000), lambda size: 7_000)
    assert budgets[-1].size == LEAST


def test_a_drop_that_the_smaller_plan_cannot_keep_is_explained(
    budgets: list[Budget], monkeypatch: pytest.MonkeyPatch
) -> None:
    once = fitting.carried_out

    def refusing(*args: Any) -> Packed:
        if budgets:
            raise PlanError("a kl of 0.1 needs at least 18,500 bytes")
        return once(*args)

    monkeypatch.setattr(fitting, "carried_out", refusing)
    with pytest.raises(
        PlanError, match=r"came out at 23,000 bytes, the budget allows 20,000, .*18"
    ):
        made(Budget(size=20_000, max_drop=0.1), lambda size: 3_000)
