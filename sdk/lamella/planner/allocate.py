"""Exact allocation: one option per group of layers, the best total under linear limits.

Source: Dong et al. 2020 (HAWQ-V2), arXiv:1911.03852, section 3; Yao et al. 2021, arXiv:2011.10680.
"""

from __future__ import annotations

from dataclasses import replace

from lamella.errors import PlanError
from lamella.planner.problem import Allocation, Goal, Group, Limits, Option, Problem, value
from lamella.planner.program import Program, core, solve


def allocate(problem: Problem, goal: Goal, limits: Limits) -> Allocation:
    """Returns the options that make `goal` least within the limits.

    Equal inputs give equal results. Among equally good allocations the smaller file wins, then
    the option that stands first.

    Raises:
        PlanError: no allocation keeps the limits; the message says what can be reached.
    """
    found = _solve(problem, goal, limits)
    if found is None:
        raise PlanError(_explain(problem, limits))
    return found


def _solve(problem: Problem, goal: Goal, limits: Limits) -> Allocation | None:
    """Solves roughly, drops every option that cannot improve on that, and solves exactly."""
    pruned = replace(problem, groups=tuple(_undominated(g, goal, limits) for g in problem.groups))
    program = Program(pruned, goal, limits)
    rough = solve(program)
    if rough is None:
        return None
    fine = solve(replace(program, problem=core(program, rough)), rough)
    candidates = [found for found in (rough, fine) if found is not None]
    return min(candidates, key=lambda found: (value(found, goal), found.nbytes, found.loss))


def _undominated(group: Group, goal: Goal, limits: Limits) -> Group:
    """Drops options that another one matches or beats in everything that counts here."""
    count_operations = goal == "operations" or limits.operations is not None

    def figures(option: Option) -> tuple[float, ...]:
        operations = option.operations if count_operations else 0.0
        integer = 0.0 if limits.integer is None else -option.integer
        return option.loss, option.nbytes, operations, integer

    kept: list[Option] = []
    for option in sorted(group.options, key=figures):
        mine = figures(option)
        beaten = (all(a <= b for a, b in zip(figures(k), mine, strict=True)) for k in kept)
        if not any(beaten):
            kept.append(option)
    return Group(group.layers, tuple(kept))


def _explain(problem: Problem, limits: Limits) -> str:
    """Says which limit cannot be met, and what is the least that can."""
    if limits.integer is not None:
        most = sum(max(option.integer for option in group.options) for group in problem.groups)
        if most < limits.integer * (1 - 1e-9):
            return (
                f"only {most:,.0f} FLOPs can read int8 activations, {limits.integer:,.0f} were "
                "asked for; allow a format such as w8a8 for more layers"
            )
    if limits.loss is not None:
        least = _solve(problem, "loss", replace(limits, loss=None, nbytes=None))
        if least is not None and least.loss > limits.loss:
            return (
                f"the least loss that can be reached is {least.loss:.4g}, {limits.loss:.4g} was "
                "asked for; allow more, or wider formats"
            )
    smallest = _solve(problem, "nbytes", replace(limits, nbytes=None))
    if smallest is None or limits.nbytes is None:
        return "no choice of formats meets all limits together; loosen one of them"
    return (
        f"the smallest reachable size is {smallest.nbytes:,} bytes, the budget allows "
        f"{limits.nbytes:,}; raise the budget, or allow narrower formats"
    )
