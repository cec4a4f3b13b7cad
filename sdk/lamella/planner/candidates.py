"""The allocator's problem for one model: which formats every group of layers may have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamella import formats
from lamella.errors import PlanError
from lamella.formats import F16, F32, Format
from lamella.frontend.layers import Layer
from lamella.frontend.model import Model
from lamella.planner import cost, rules
from lamella.planner.problem import Group, Option, Problem
from lamella.planner.spec import Plan
from lamella.targets.target import Target

if TYPE_CHECKING:
    from lamella.calibration.sense import Sensitivity

Losses = Mapping[tuple[str, str], float]


@dataclass(frozen=True, slots=True)
class Space:
    """What may be chosen for a model: the problem, and what its options mean for each layer.

    `losses` maps (layer id, format id) to the measured loss, `wins` layer ids to their rule.
    """

    problem: Problem
    losses: Losses
    supports: rules.Supports
    wins: Mapping[str, rules.Win]


def space(model: Model, sensitivity: Sensitivity, target: Target, recipe: Plan) -> Space:
    """Collects, per group of layers, the formats that rules, target and sensitivity all allow.

    Raises:
        PlanError: a rule names no layer, or leaves a layer without a format.
    """
    losses = {(row.layer, row.format): row.loss for row in sensitivity.rows}
    supports = rules.supported(target)
    wins = rules.wins(recipe, model.layers)
    measured = [
        formats.parse(name) for name in dict.fromkeys(row.format for row in sensitivity.rows)
    ]
    groups = []
    for members in group(model.layers, by_input=recipe.share_input_groups):
        allowed = [_allowed(layer, wins[layer.id], measured, supports) for layer in members]
        fixed = any(wins[layer.id].fixed for layer in members)
        common = [format for format in allowed[0] if all(format in each for each in allowed)]
        kept = [f for f in common if fixed or _is_measured(members, f, losses)]
        if not kept:
            raise PlanError(_nothing_left(members, allowed, common))
        options = tuple(_option(members, format, losses, supports) for format in kept)
        groups.append(Group(tuple(layer.id for layer in members), options))
    problem = Problem(tuple(groups), cost.overhead(model).total)
    return Space(problem, losses, supports, wins)


def group(layers: Sequence[Layer], *, by_input: bool) -> list[list[Layer]]:
    """Joins the layers that must share a format: tied weights, and input groups on request."""
    root = {layer.id: layer.id for layer in layers}

    def find(name: str) -> str:
        while root[name] != name:
            name = root[name]
        return name

    readers: dict[str, str] = {}
    for layer in layers:
        if layer.tied_to:
            root[find(layer.id)] = find(layer.tied_to)
        if by_input and layer.kind != "embedding":
            root[find(layer.id)] = find(readers.setdefault(layer.input_group, layer.id))
    joined: dict[str, list[Layer]] = {}
    for layer in layers:
        joined.setdefault(find(layer.id), []).append(layer)
    return list(joined.values())


def group_loss(members: Sequence[Layer], format: Format, losses: Losses) -> float:
    """Returns the summed loss of a group; a tied weight counts once, at its worst reader."""
    worst: dict[str, float] = {}
    for layer in members:
        owner = layer.tied_to or layer.id
        worst[owner] = max(worst.get(owner, 0.0), losses.get((layer.id, format.id), 0.0))
    return math.fsum(worst.values())


def _allowed(
    layer: Layer, win: rules.Win, measured: Sequence[Format], supports: rules.Supports
) -> tuple[Format, ...]:
    """Returns the formats that the rules and the target allow a layer, in order of preference."""
    if win.fixed and win.formats:
        rules.choose(layer, win.formats[0], win.label, supports)
        return win.formats
    wanted = (*measured, F16, F32) if win.formats is None else win.formats
    stored = (f for f in wanted if rules.storage(layer.kind, f, supports) is not None)
    return tuple(dict.fromkeys(stored))


def _is_measured(members: Sequence[Layer], format: Format, losses: Losses) -> bool:
    """Whether the loss of a group is known and finite; dense floating point needs no measuring."""
    known = [losses[m.id, format.id] for m in members if (m.id, format.id) in losses]
    return all(map(math.isfinite, known)) and (bool(known) or format in (F16, F32))


def _option(
    members: Sequence[Layer], format: Format, losses: Losses, supports: rules.Supports
) -> Option:
    nbytes, work, integer = 0, [], 0
    for layer in members:
        form, support = rules.storage(layer.kind, format, supports) or (format, None)
        nbytes += cost.layer_bytes(layer, form)
        work.append(cost.bit_operations(layer, form, support))
        integer += layer.flops if cost.is_integer(form, support) else 0
    loss = group_loss(members, format, losses)
    return Option(format, loss, nbytes, math.fsum(work), float(integer))


def _nothing_left(
    members: Sequence[Layer], allowed: Sequence[Sequence[Format]], common: Sequence[Format]
) -> str:
    """Says why a group has no format: nothing allowed, nothing in common, or nothing measured."""
    each = "; ".join(
        f"{layer.id!r} ({layer.kind}) may be {', '.join(f.id for f in own) or 'nothing'}"
        for layer, own in zip(members, allowed, strict=True)
    )
    if common:
        return f"no loss was measured for any format that the rules and the target allow: {each}"
    return f"no format meets the rules, the target and what must be equal: {each}"
