"""The plans that are worth comparing for one model, and what each was measured to lose."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lamella.formats import Format
from lamella.frontend.layers import Layer
from lamella.frontend.model import Model
from lamella.planner import allocate, candidates, rules
from lamella.planner.candidates import Space
from lamella.planner.problem import Allocation, Goal, Limits
from lamella.planner.spec import Choice, Plan
from lamella.targets.target import Target

if TYPE_CHECKING:
    from lamella.calibration.sense import Sensitivity

Evaluate = Callable[[Plan], float]


@dataclass(frozen=True, slots=True)
class Trial:
    """A measured plan. `cost` is in units of the goal, `expected` the sum of single losses."""

    plan: Plan
    cost: float
    expected: float
    drop: float


@dataclass(slots=True)
class Trials:
    """Remembers the true loss of every plan by its hash, since measuring one takes minutes."""

    evaluate: Evaluate
    drops: dict[str, float] = field(default_factory=dict)

    def drop(self, plan: Plan) -> float:
        """Returns the true loss of a plan on held-out data."""
        if plan.hash not in self.drops:
            self.drops[plan.hash] = float(self.evaluate(plan))
        return self.drops[plan.hash]


@dataclass(frozen=True, slots=True)
class Front:
    """The best plans of a model within fixed limits, along the cost that `goal` names."""

    model: Model
    target: Target
    recipe: Plan
    space: Space
    limits: Limits = field(default_factory=Limits)
    goal: Goal = "nbytes"

    def cheapest(self) -> Allocation:
        """Returns the allocation of least cost."""
        return allocate.allocate(self.space.problem, self.goal, self.limits)

    def careful(self) -> Allocation:
        """Returns the allocation of least loss."""
        return allocate.allocate(self.space.problem, "loss", self.limits)

    def within(self, cost: float) -> Allocation:
        """Returns the allocation of least loss that costs at most `cost`."""
        if self.goal == "nbytes":
            limits = replace(self.limits, nbytes=math.floor(cost))
        else:
            limits = replace(self.limits, operations=cost)
        return allocate.allocate(self.space.problem, "loss", limits)

    def expecting(self, loss: float) -> Allocation:
        """Returns the cheapest allocation whose losses add up to at most `loss`."""
        return allocate.allocate(self.space.problem, self.goal, replace(self.limits, loss=loss))

    def cost(self, allocation: Allocation) -> float:
        """Returns an allocation's cost in units of the goal."""
        return float(getattr(allocation, self.goal))

    def build(self, allocation: Allocation) -> Plan:
        """Returns the plan that an allocation stands for, with what it promises."""
        chosen = {
            name: option.format
            for group, option in zip(self.space.problem.groups, allocation.options, strict=True)
            for name in group.layers
        }
        choices = tuple(self._choice(layer, chosen[layer.id]) for layer in self.model.layers)
        plan = replace(self.recipe, choices=choices, target=self.target.name)
        plan = rules.price(plan, self.model)
        return replace(plan, promised=plan.promised | {"expected_loss": short(allocation.loss)})

    def measure(self, allocation: Allocation, trials: Trials) -> Trial:
        """Measures what the plan of an allocation really loses, and notes it in the plan."""
        plan = self.build(allocation)
        drop = trials.drop(plan)
        noted = replace(plan, promised=plan.promised | {"drop": short(drop)})
        return Trial(noted, self.cost(allocation), allocation.loss, drop)

    def _choice(self, layer: Layer, format: Format) -> Choice:
        loss = self.space.losses.get((layer.id, format.id))
        label = self.space.wins[layer.id].label
        rounded = None if loss is None else short(loss)
        return rules.choose(layer, format, label, self.space.supports, rounded)


def front(model: Model, sensitivity: Sensitivity, target: Target, recipe: Plan | None) -> Front:
    """Prepares the plans of a model without limits.

    Raises:
        PlanError: the recipe's rules do not fit the model or the target.
    """
    used = Plan() if recipe is None else recipe
    space = candidates.space(model, sensitivity, target, used)
    return Front(model, target, used, space)


def short(number: float) -> float:
    """Rounds to six digits, what a person reads in a plan."""
    return float(f"{number:.6g}")
