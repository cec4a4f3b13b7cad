"""Which formats are worth measuring for each layer: what the recipe and the target both allow."""

from __future__ import annotations

from lamella.errors import PlanError
from lamella.formats import F16, F32, Format
from lamella.frontend.model import Model
from lamella.planner import candidates, rules
from lamella.planner.spec import Plan
from lamella.targets.target import Target

Options = dict[str, tuple[Format, ...]]


def candidate_formats(model: Model, recipe: Plan, target: Target) -> Options:
    """Maps each layer that owns its weight to its formats, in the order of its rule.

    Layers that must share a format have those that all of them may have. A layer that no rule
    names may have whatever the recipe mentions, or f16. Float32 loses nothing and is left out.

    Raises:
        PlanError: a rule names no layer, or there is nothing to choose for any layer.
    """
    wins, supports = rules.wins(recipe, model.layers), rules.supported(target)
    mentioned = dict.fromkeys(option for rule in recipe.rules for option in rule.formats)
    found: Options = {}
    for members in candidates.group(model.layers, by_input=recipe.share_input_groups):
        allowed = [wins[layer.id].formats or (*mentioned, F16) for layer in members]
        common = tuple(
            format
            for format in dict.fromkeys(allowed[0])
            if format != F32
            and all(format in each for each in allowed)
            and all(rules.storage(layer.kind, format, supports) for layer in members)
        )
        found |= {layer.id: common for layer in members if layer.tied_to is None and common}
    if not found:
        raise PlanError(
            f"the recipe leaves every layer in float32 on the target {target.name}; give rules "
            "with formats that it stores"
        )
    return found
