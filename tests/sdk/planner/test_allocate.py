"""Mirrors sdk/lamella/planner/allocate.py: against brute force and a dynamic programme."""

from __future__ import annotations

import ctypes
import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from lamella import formats
from lamella.errors import PlanError
from lamella.planner import allocate
from lamella.planner.problem import Allocation, Group, Limits, Option, Problem, total

NAMES = ("w2g32", "w3g32", "w4g32", "w5g32", "w6g32", "w8", "w8a8", "f16", "f32")


def problem(
    rng: np.random.Generator, groups: int, options: int, overhead: int = 0, largest: int = 10_000
) -> Problem:
    """Random options; losses span eight orders of magnitude as measured ones do."""
    rows = []
    for index in range(groups):
        sizes = np.sort(rng.integers(1, largest, options))
        losses = np.sort(10.0 ** rng.uniform(-7, 1, options))[::-1]
        work = rng.integers(1, 100, options)
        rows.append(
            Group(
                (f"layer{index}",),
                tuple(
                    Option(
                        formats.parse(name),
                        float(loss),
                        int(size),
                        float(operations),
                        float(operations) if name == "w8a8" else 0.0,
                    )
                    for name, loss, size, operations in zip(
                        NAMES[-options:], losses, sizes, work, strict=True
                    )
                ),
            )
        )
    return Problem(tuple(rows), overhead)


def every(given: Problem) -> list[Allocation]:
    choices = itertools.product(*(group.options for group in given.groups))
    return [total(given, chosen) for chosen in choices]


@pytest.mark.parametrize("seed", range(12))
def test_the_least_loss_within_a_size_equals_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    case = problem(rng, 5, 4, overhead=777)
    everything = every(case)
    budget = int(rng.choice([one.nbytes for one in everything]))
    expected = min(one.loss for one in everything if one.nbytes <= budget)
    found = allocate.allocate(case, "loss", Limits(nbytes=budget))
    assert found.nbytes <= budget
    assert found.loss == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_the_least_size_within_a_loss_equals_brute_force(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    case = problem(rng, 5, 4)
    everything = every(case)
    budget = float(rng.choice([one.loss for one in everything]))
    expected = min(one.nbytes for one in everything if one.loss <= budget)
    found = allocate.allocate(case, "nbytes", Limits(loss=budget))
    assert found.loss <= budget
    assert found.nbytes == expected


@pytest.mark.parametrize("seed", range(6))
def test_operations_and_a_share_of_integer_work_are_limits_too(seed: int) -> None:
    rng = np.random.default_rng(200 + seed)
    case = problem(rng, 5, 4)
    everything = every(case)
    limits = Limits(
        nbytes=int(np.median([one.nbytes for one in everything])),
        operations=float(np.median([one.operations for one in everything])),
        integer=0.5 * sum(max(o.integer for o in group.options) for group in case.groups),
    )

    def fits(one: Allocation) -> bool:
        assert limits.nbytes
        assert limits.operations
        assert limits.integer
        integer = sum(option.integer for option in one.options)
        inside = one.nbytes <= limits.nbytes and one.operations <= limits.operations
        return inside and integer >= limits.integer

    kept = [one for one in everything if fits(one)]
    assert kept
    found = allocate.allocate(case, "loss", limits)
    assert fits(found)
    assert found.loss == pytest.approx(min(one.loss for one in kept), rel=1e-9)
    cheapest = allocate.allocate(case, "operations", limits)
    assert cheapest.operations == min(one.operations for one in kept)


@pytest.mark.parametrize("seed", range(3))
def test_sixty_groups_equal_a_dynamic_programme_over_every_byte(seed: int) -> None:
    rng = np.random.default_rng(300 + seed)
    case = problem(rng, 60, 6, largest=200)
    least = sum(min(o.nbytes for o in group.options) for group in case.groups)
    budget = least * 2
    table = np.full(budget + 1, np.inf)
    table[0] = 0.0
    for group in case.groups:
        shifted = np.full((len(group.options), budget + 1), np.inf)
        for index, option in enumerate(group.options):
            shifted[index, option.nbytes :] = table[: budget + 1 - option.nbytes] + option.loss
        table = shifted.min(0)
    found = allocate.allocate(case, "loss", Limits(nbytes=budget))
    assert found.nbytes <= budget
    assert found.loss == pytest.approx(table.min(), rel=1e-9)


def test_a_large_model_stays_within_its_budget_to_the_byte() -> None:
    rng = np.random.default_rng(5)
    case = problem(rng, 200, 6, largest=10_000_000)
    smallest = sum(min(o.nbytes for o in group.options) for group in case.groups)
    largest = sum(max(o.nbytes for o in group.options) for group in case.groups)
    for share in (0.01, 0.2, 0.6):
        budget = round(smallest + share * (largest - smallest))
        found = allocate.allocate(case, "loss", Limits(nbytes=budget))
        assert found.nbytes <= budget
        back = allocate.allocate(case, "nbytes", Limits(loss=found.loss))
        assert back.nbytes <= found.nbytes
        assert back.loss <= found.loss


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_never_over_budget_and_never_worse_than_a_uniform_choice(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    case = problem(rng, 8, 5, overhead=int(rng.integers(0, 10_000)))
    uniform = [total(case, [g.options[i] for g in case.groups]) for i in range(5)]
    low, high = uniform[0].nbytes, uniform[-1].nbytes
    budget = math.ceil(low + share * (high - low))
    found = allocate.allocate(case, "loss", Limits(nbytes=budget))
    assert found.nbytes <= budget
    for control in uniform:
        if control.nbytes <= budget:
            assert found.loss <= control.loss * (1 + 1e-9)


def test_among_equal_losses_the_smaller_file_wins_whatever_the_order() -> None:
    small = Option(formats.parse("w4g32"), 0.5, 10)
    large = Option(formats.parse("w8"), 0.5, 20)
    for options in ((small, large), (large, small)):
        case = Problem((Group(("a",), options), Group(("b",), options)))
        assert allocate.allocate(case, "loss", Limits(nbytes=40)).options == (small, small)


def test_the_result_does_not_depend_on_the_run() -> None:
    case = problem(np.random.default_rng(1), 40, 6)
    budget = sum(group.options[2].nbytes for group in case.groups)
    first = allocate.allocate(case, "loss", Limits(nbytes=budget))
    assert all(allocate.allocate(case, "loss", Limits(nbytes=budget)) == first for _ in range(3))


def test_a_size_out_of_reach_is_refused_with_the_smallest_that_is_not() -> None:
    case = problem(np.random.default_rng(2), 4, 3, overhead=1_000)
    smallest = 1_000 + sum(min(o.nbytes for o in group.options) for group in case.groups)
    with pytest.raises(PlanError, match=f"smallest reachable size is {smallest:,} bytes"):
        allocate.allocate(case, "loss", Limits(nbytes=smallest - 1))
    assert allocate.allocate(case, "loss", Limits(nbytes=smallest)).nbytes == smallest


def test_a_loss_out_of_reach_is_refused_with_the_least_that_is_not() -> None:
    case = problem(np.random.default_rng(3), 4, 3)
    least = math.fsum(min(o.loss for o in group.options) for group in case.groups)
    with pytest.raises(PlanError, match=f"least loss that can be reached is {least:.4g}"):
        allocate.allocate(case, "nbytes", Limits(loss=least / 2))


def test_integer_work_out_of_reach_is_refused() -> None:
    case = problem(np.random.default_rng(4), 4, 3)
    with pytest.raises(PlanError, match="int8 activations"):
        allocate.allocate(case, "loss", Limits(integer=1e9))


def test_what_the_solver_prints_stays_off_standard_output(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    library, solver = ctypes.CDLL(None), optimize.milp

    def chatty(*args: Any, **kwargs: Any) -> Any:
        library.puts(b"debugging")
        return solver(*args, **kwargs)

    monkeypatch.setattr(optimize, "milp", chatty)
    case = problem(np.random.default_rng(6), 5, 4)
    allocate.allocate(case, "loss", Limits(nbytes=40_000))
    library.fflush(None)
    assert capfd.readouterr().out == ""
