"""Mirrors sdk/lamella/planner/program.py: bounds against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lamella import formats
from lamella.planner.problem import Allocation, Goal, Group, Limits, Option, Problem, total, value
from lamella.planner.program import Program, core, solve

KINDS = tuple(formats.parse(name) for name in ("w2g32", "w3g32", "w4g32", "w8", "w8a8"))


def problem(seed: int, groups: int) -> Problem:
    """Random options; a fifth of them count as integer work."""
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(groups):
        sizes, losses = rng.integers(1, 1000, len(KINDS)), 10.0 ** rng.uniform(-5, 0, len(KINDS))
        options = [
            Option(kind, float(loss), int(size), float(size % 7), 3.0 * (kind.bits == 8))
            for kind, loss, size in zip(KINDS, losses, sizes, strict=True)
        ]
        rows.append(Group((f"layer{index}",), tuple(options)))
    return Problem(tuple(rows), 50)


def feasible(case: Problem, limits: Limits) -> list[Allocation]:
    combinations = itertools.product(*(group.options for group in case.groups))
    return [found for each in combinations if (found := total(case, each)).keeps(limits)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("goal", ["loss", "nbytes", "operations"])
def test_the_core_of_any_known_solution_keeps_the_best(seed: int, goal: Goal) -> None:
    case = problem(seed, 5)
    limits = Limits(nbytes=2500, loss=1.5, operations=25.0, integer=3.0)
    every = feasible(case, limits)
    best = min(value(found, goal) for found in every)
    for known in every[:: max(1, len(every) // 5)]:
        left = core(Program(case, goal, limits), known)
        inside = feasible(left, limits)
        assert min(value(found, goal) for found in inside) == best
        assert known in inside


def test_the_core_of_a_good_solution_is_small() -> None:
    case = problem(0, 100)
    program = Program(case, "loss", Limits(nbytes=30_000))
    rough = solve(program)
    assert rough is not None
    left = core(program, rough)
    assert sum(len(group.options) for group in left.groups) < 200


def test_the_core_without_limits_is_the_best_option_of_each_group() -> None:
    case = problem(1, 4)
    program = Program(case, "loss", Limits())
    rough = solve(program)
    assert rough is not None
    assert all(len(group.options) == 1 for group in core(program, rough).groups)


def test_what_cannot_be_met_has_no_solution() -> None:
    assert solve(Program(problem(2, 4), "loss", Limits(nbytes=10))) is None
