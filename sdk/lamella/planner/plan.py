"""Plans under a budget: an exact allocation, then a loop that verifies the true loss.

Source: bisection on measured accuracy as in Sun et al. 2023, arXiv:2306.04879.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lamella import formats
from lamella.errors import PlanError
from lamella.formats import F16, F32, Format
from lamella.frontend.model import Model
from lamella.planner import candidates, rules
from lamella.planner.front import Evaluate, Front, Trial, Trials, front
from lamella.planner.pareto import Point, pareto
from lamella.planner.problem import Goal, Limits
from lamella.planner.search import least
from lamella.planner.spec import Budget, Plan
from lamella.targets.target import Target

if TYPE_CHECKING:
    from lamella.calibration.sense import Sensitivity

GOALS: dict[str, Goal] = {"bytes": "nbytes", "flops": "operations"}

__all__ = ["Evaluate", "Point", "pareto", "plan", "uniform"]


def plan(
    model: Model,
    sensitivity: Sensitivity,
    target: Target,
    budget: Budget,
    *,
    recipe: Plan | None = None,
    evaluate: Evaluate | None = None,
) -> Plan:
    """Chooses a format for every layer.

    With a size alone, the plan has the least sum of single losses that fits. With a largest drop,
    it is the cheapest plan whose drop fits, within the size if one is given; the drop is measured
    by `evaluate`, or without it taken to be the sum of single losses.

    Args:
        model: the float model.
        sensitivity: losses of single layers; its formats are the choices.
        target: what is not in its capabilities is not chosen.
        budget: the limits.
        recipe: rules, skipped layers and settings; a resolved plan's layers are decided anew.
        evaluate: returns the true drop of a plan on held-out data, 0 as good as the float model.

    Raises:
        PlanError: the budget cannot be met (the message says what can), or the recipe does not
            fit the model or the target.
    """
    used = front(model, sensitivity, target, recipe)
    plans = replace(used, limits=_limits(model, budget), goal=GOALS[budget.minimise])
    if evaluate is None:
        loss = budget.max_drop
        return plans.build(plans.careful() if loss is None else plans.expecting(loss))
    trials = Trials(evaluate)
    trial = plans.measure(plans.careful(), trials)
    if budget.max_drop is not None:
        if not trial.drop <= budget.max_drop:
            raise PlanError(_unreachable(plans, trials, trial, budget))
        trial = least(plans, trials, trial, budget.max_drop)
    noted: dict[str, int | float | str] = {
        "metric": budget.metric,
        "evaluations": len(trials.drops),
    }
    return replace(trial.plan, promised=trial.plan.promised | noted)


def uniform(model: Model, format: Format | str, target: Target) -> Plan:
    """Returns the plan that gives every layer one format, the control of a mixed plan.

    Where the target cannot store the format in a layer (and in those that share its weight), the
    layer gets the same weights with float activations, or else f16, or else f32.
    """
    wanted = formats.parse(format) if isinstance(format, str) else format
    supports = rules.supported(target)
    chosen = {}
    for members in candidates.group(model.layers, by_input=False):
        for candidate in (wanted, replace(wanted, activation="float"), F16, F32):
            if all(rules.storage(layer.kind, candidate, supports) for layer in members):
                break
        chosen.update({layer.id: candidate for layer in members})
    label = f"uniform {wanted.id}"
    choices = [rules.choose(layer, chosen[layer.id], label, supports) for layer in model.layers]
    return rules.price(Plan(choices=tuple(choices), target=target.name), model)


def _limits(model: Model, budget: Budget) -> Limits:
    integer = None
    if budget.integer_flops is not None:
        integer = budget.integer_flops * sum(layer.flops for layer in model.layers)
    return Limits(nbytes=budget.cap(model.parameters), integer=integer)


def _unreachable(plans: Front, trials: Trials, careful: Trial, budget: Budget) -> str:
    """Says what drop the size allows, and what size the drop needs."""
    allowed, name = budget.max_drop or 0.0, budget.metric
    free = replace(plans, limits=replace(plans.limits, nbytes=None), goal="nbytes")
    best = free.measure(free.careful(), trials)
    if not best.drop <= allowed:
        return (
            f"even the most careful plan has a {name} of {best.drop:.4g}, {allowed:.4g} is "
            "allowed; allow more, or wider formats"
        )
    smallest = least(free, trials, best, allowed)
    return (
        f"a {name} of {allowed:.4g} needs at least {smallest.cost:,.0f} bytes, the budget allows "
        f"{plans.limits.nbytes:,}, where the {name} is {careful.drop:.4g}; raise one of the two"
    )
