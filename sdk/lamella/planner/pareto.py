"""The Pareto front: plans from the smallest to the most careful, each with its true loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamella.errors import PlanError
from lamella.frontend.model import Model
from lamella.planner.front import Evaluate, Front, Trials, front
from lamella.planner.problem import Allocation
from lamella.planner.spec import Plan
from lamella.progress import track
from lamella.targets.target import Target

if TYPE_CHECKING:
    from lamella.calibration.sense import Sensitivity


@dataclass(frozen=True, slots=True)
class Point:
    """A plan, the bytes of its file and its measured loss."""

    nbytes: int
    drop: float
    plan: Plan


def pareto(
    model: Model,
    sensitivity: Sensitivity,
    target: Target,
    evaluate: Evaluate,
    points: int = 8,
    *,
    recipe: Plan | None = None,
) -> tuple[Point, ...]:
    """Returns distinct plans in rising order of size, spread evenly over its logarithm.

    There are fewer than `points` only if the model has fewer best allocations than that.

    Raises:
        PlanError: `points` is below 2, or the recipe does not fit the model.
    """
    if points < 2:
        raise PlanError(f"a front has at least 2 points, not {points}")
    plans = front(model, sensitivity, target, recipe)
    trials = Trials(evaluate)
    found = []
    for allocation in track(spread(plans, points), "measure the front"):
        trial = plans.measure(allocation, trials)
        found.append(Point(allocation.nbytes, trial.drop, trial.plan))
    return tuple(found)


def spread(plans: Front, points: int) -> list[Allocation]:
    """Returns up to `points` best allocations of distinct sizes, splitting the widest gap first."""
    small, large = plans.cheapest(), plans.careful()
    found = {small.nbytes: small, large.nbytes: large}
    gaps = [(small.nbytes, large.nbytes)]
    while gaps and len(found) < points:
        low, high = widest = max(gaps, key=lambda gap: gap[1] / max(gap[0], 1))
        gaps.remove(widest)
        if high - low < 2:
            continue
        middle = min(max(math.isqrt(low * high), low + 1), high - 1)
        new = plans.within(middle)
        if new.nbytes > low:
            found[new.nbytes] = new
            gaps.append((low, new.nbytes))
        gaps.append((middle, high))
    return [found[size] for size in sorted(found)]
