"""The allocator's integer program in numbers, solved by HiGHS through scipy.

Source: the multiple-choice knapsack problem, Kellerer, Pferschy and Pisinger 2004, chapter 11;
section 11.3 for the options that a bound rules out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import optimize, sparse

from lamella.planner.problem import Allocation, Goal, Group, Limits, Option, Problem, total, value
from lamella.planner.quiet import quiet

Row = npt.NDArray[np.float64]

# Two solutions whose goals differ by less than this share of the total are equal; the smaller
# file, or else the smaller loss, is taken.
TIE = 1e-9

# The scaled value of the objective at the best known solution. HiGHS stops at an absolute gap of
# 1e-6, which this makes a relative one of 1e-10.
SCALE = 1e4

# How far a first solution may be from the best; it only has to rule out most options.
ROUGH_GAP = 1e-4


@dataclass(frozen=True)
class Program:
    """A problem, what to make small in it, and within which limits."""

    problem: Problem
    goal: Goal
    limits: Limits

    @cached_property
    def options(self) -> tuple[Option, ...]:
        """Returns the options of all groups, one variable each."""
        return tuple(option for group in self.problem.groups for option in group.options)

    @cached_property
    def owners(self) -> npt.NDArray[np.int64]:
        """Returns the group of every option."""
        sizes = [len(group.options) for group in self.problem.groups]
        return np.repeat(np.arange(len(sizes)), sizes)

    @cached_property
    def values(self) -> Row:
        """Returns what every option adds to the goal."""
        return np.array([value(option, self.goal) for option in self.options])

    @cached_property
    def rows(self) -> tuple[Row, Row]:
        """Returns A (limits, options) and b (limits,) of A x <= b, each row on the scale of b.

        HiGHS accepts an absolute excess of 1e-6, a ten thousand millionth of a scaled limit.
        """
        limits, rows, bounds = self.limits, [], []
        nbytes = None if limits.nbytes is None else limits.nbytes - self.problem.overhead
        upper = {"nbytes": nbytes, "loss": limits.loss, "operations": limits.operations}
        signed = {name: (1.0, limit) for name, limit in upper.items()}
        signed["integer"] = (-1.0, None if limits.integer is None else -limits.integer)
        for name, (sign, limit) in signed.items():
            if limit is not None:
                row = sign * np.array([getattr(option, name) for option in self.options], float)
                scale = SCALE / (abs(limit) or max(np.abs(row).max(), 1.0))
                rows.append(row * scale)
                bounds.append(limit * scale)
        return np.array(rows).reshape(len(rows), len(self.options)), np.array(bounds)

    @cached_property
    def one_each(self) -> sparse.csr_array:
        """Returns the (groups, options) matrix that sums the variables of every group."""
        count = len(self.options)
        entries = (np.ones(count), (self.owners, np.arange(count)))
        return sparse.csr_array(entries, (len(self.problem.groups), count))


def solve(program: Program, known: Allocation | None = None) -> Allocation | None:
    """Returns a solution near the best, or the best if `known` gives its scale; None if none is."""
    constraints = [optimize.LinearConstraint(program.one_each, 1, 1)]
    rows, bounds = program.rows
    if len(bounds):
        constraints.append(optimize.LinearConstraint(rows, -np.inf, bounds))
    while True:
        with quiet():
            result = optimize.milp(
                _objective(program, known),
                integrality=np.ones(len(program.options), np.int64),
                bounds=optimize.Bounds(0, 1),
                constraints=constraints,
                options={"mip_rel_gap": 0.0 if known else ROUGH_GAP},
            )
        if result.x is None:
            return None
        chosen = np.flatnonzero(result.x > 0.5)
        found = total(program.problem, [program.options[index] for index in chosen])
        if found.keeps(program.limits):
            return found
        # The solver's tolerance let a solution slightly over a limit pass: rule out exactly it.
        cut = np.zeros(len(program.options))
        cut[chosen] = 1
        constraints.append(optimize.LinearConstraint(cut, -np.inf, len(chosen) - 1))


def core(program: Program, known: Allocation) -> Problem:
    """Returns the problem without the options that no solution better than `known` can have.

    For any multipliers >= 0 of the limits, the sum of every group's least penalised value is a
    lower bound; an option that lifts it above the known value is ruled out. The multipliers of
    the linear relaxation make the bound tight, and need not be exact for it to hold.
    """
    rows, bounds = program.rows
    scale = _scale(program, known)
    with quiet():
        relaxed = optimize.linprog(
            program.values * scale,
            A_ub=rows,
            b_ub=bounds,
            A_eq=program.one_each.toarray(),
            b_eq=np.ones(len(program.problem.groups)),
            bounds=(0, 1),
        )
    if relaxed.x is None:
        return program.problem
    multipliers = np.maximum(-relaxed.ineqlin.marginals, 0.0)
    penalised = program.values * scale + multipliers @ rows
    least = np.full(len(program.problem.groups), np.inf)
    np.minimum.at(least, program.owners, penalised)
    inside = (value(known, program.goal) - _base(program)) * scale
    room = inside + float(multipliers @ bounds) - math.fsum(least)
    # Ties are decided later, so options within them stay.
    kept = penalised - least[program.owners] <= room + 1e-6 + 10 * TIE * SCALE
    return _restricted(program, known, kept)


def _restricted(program: Program, known: Allocation, kept: npt.NDArray[np.bool_]) -> Problem:
    flags = iter(kept.tolist())
    groups = []
    for group, used in zip(program.problem.groups, known.options, strict=True):
        pairs = [(option, next(flags)) for option in group.options]
        options = tuple(option for option, keep in pairs if keep or option is used)
        groups.append(Group(group.layers, options))
    return replace(program.problem, groups=tuple(groups))


def _objective(program: Program, known: Allocation | None) -> Row:
    second: Goal = "loss" if program.goal == "nbytes" else "nbytes"
    ties = np.array([value(option, second) for option in program.options])
    tie = TIE * SCALE / max(float(ties.sum()), 1e-300)
    objective: Row = program.values * _scale(program, known) + ties * tie
    return objective


def _scale(program: Program, known: Allocation | None) -> float:
    if known is None:
        worst = np.zeros(len(program.problem.groups))
        np.maximum.at(worst, program.owners, program.values)
        top = float(worst.sum())
    else:
        top = value(known, program.goal) - _base(program)
    return SCALE / top if top > 0 else 1.0


def _base(program: Program) -> int:
    return program.problem.overhead if program.goal == "nbytes" else 0
