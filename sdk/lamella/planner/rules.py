"""Rules: which layers a plan's matchers accept, and which rule wins each layer."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from lamella.errors import PlanError
from lamella.formats import F32, Format
from lamella.frontend.layers import Kind, Layer
from lamella.frontend.model import Model
from lamella.planner import cost
from lamella.planner.spec import Choice, Plan, Rule
from lamella.targets.target import Support, Target

# What `Choice.rule` says where no rule of the plan decided.
DEFAULT = "no rule"

Supports = Mapping[tuple[str, str], Support]

_RANGE = re.compile(r"([\d.]+)-([\d.]+)")


@dataclass(frozen=True, slots=True)
class Win:
    """What a plan says about one layer.

    `formats` are the allowed ones in order of preference; None means whatever the target stores.
    """

    label: str
    formats: tuple[Format, ...] | None
    fixed: bool


def wins(plan: Plan, layers: Sequence[Layer]) -> dict[str, Win]:
    """Maps every layer id to the first rule that accepts the layer; `skip` comes before rules.

    Raises:
        PlanError: a rule that is not optional, or an entry of `skip`, accepts no layer.
    """
    blocks = 1 + max((layer.block for layer in layers if layer.block is not None), default=-1)
    check(plan, layers, blocks)
    return {layer.id: _win(plan, layer, blocks) for layer in layers}


def resolve(plan: Plan, model: Model, target: Target | None = None) -> Plan:
    """Fills in `layers` from the rules alone, without an allocator; layers no rule names stay f32.

    Raises:
        PlanError: a rule leaves a choice, names no layer, or asks for what the target lacks.
    """
    decided = wins(plan, model.layers)
    supports = supported(target) if target else None
    choices = []
    for layer in model.layers:
        win = decided[layer.id]
        if not win.fixed and win.label != DEFAULT:
            raise PlanError(
                f"the rule {win.label!r} leaves {layer.id!r} a choice; give it one format, or "
                "plan with a sensitivity table"
            )
        format = win.formats[0] if win.formats else F32
        choices.append(choose(layer, format, win.label, supports))
    return price(replace(plan, choices=tuple(choices)), model)


def refresh(plan: Plan, model: Model, target: Target | None = None) -> Plan:
    """Counts the bytes of a plan again, after somebody changed formats in its `layers` by hand.

    Raises:
        PlanError: the plan lacks a layer of the model, has one too many, or asks for a format
            that the target does not store.
    """
    ids = [layer.id for layer in model.layers]
    for choice in plan.choices:
        if choice.layer not in ids:
            raise PlanError(f"the plan has a layer {choice.layer!r}{_near(choice.layer, ids)}")
    supports = supported(target) if target else None
    choices = []
    for layer in model.layers:
        old = plan.choice(layer.id)
        new = choose(layer, plan.formats[layer.id], old.rule, supports, old.loss)
        same = (new.bits, new.nbytes) == (old.bits, old.nbytes)
        choices.append(new if same else replace(new, rule="by hand", loss=None))
    return price(replace(plan, choices=tuple(choices)), model)


def supported(target: Target) -> Supports:
    """Maps (kind, format id) to how a target supports it."""
    return {(row.kind, row.format.id): row.support for row in target.capabilities()}


def storage(kind: Kind, format: Format, supports: Supports) -> tuple[Format, Support] | None:
    """Returns the form in which a target stores a format, and how it is supported, or None.

    Float32 needs no support. A target that has no form of its own for a mask stores the pruned
    weights densely.
    """
    for form in (format, format.dense):
        if (kind, form.id) in supports:
            return form, supports[kind, form.id]
    return (F32, "size only") if format.dense == F32 else None


def choose(
    layer: Layer,
    format: Format,
    rule: str,
    supports: Supports | None = None,
    loss: float | None = None,
) -> Choice:
    """Returns the row of a plan that gives a layer a format, with its bits and bytes.

    Raises:
        PlanError: `supports` is given and has no such format for this kind of layer.
    """
    stored: tuple[Format, Support | None] | None = (format, None)
    if supports is not None:
        stored = storage(layer.kind, format, supports)
    if stored is None:
        names = [name for kind, name in supports or () if kind == layer.kind]
        near = difflib.get_close_matches(format.id, names, n=6, cutoff=0.0)
        raise PlanError(
            f"the target cannot store {format.id} in {layer.id!r} ({layer.kind}); "
            f"the nearest that it can are {', '.join([*near, 'f32'])}"
        )
    form, support = stored
    return Choice(
        layer.id,
        format.id,
        rule,
        cost.layer_bytes(layer, form),
        round(cost.layer_bits(layer, form), 4),
        0.0 if format == F32 else loss,
        "float" if format.is_float else support,
    )


def price(plan: Plan, model: Model) -> Plan:
    """Returns the plan with the size of the whole file promised, and nothing about its loss."""
    size = cost.overhead(model).total + sum(choice.nbytes for choice in plan.choices)
    formats = plan.formats
    integer = {c.layer for c in plan.choices if cost.is_integer(formats[c.layer], c.support)}
    promised: dict[str, int | float | str] = {
        "size_bytes": size,
        "average_bits": round(8 * size / max(model.parameters, 1), 4),
        "integer_flops": round(cost.integer_share(model.layers, integer), 4),
    }
    return replace(plan, promised=promised)


def check(plan: Plan, layers: Sequence[Layer], blocks: int) -> None:
    """Refuses rules and entries of `skip` that accept no layer, and a plan of only such rules.

    Raises:
        PlanError: names the rule and the layers or roles that it may have meant.
    """
    for rule in plan.rules:
        if not rule.optional and not any(matches(rule, layer, blocks) for layer in layers):
            raise PlanError(f"the rule {rule.label!r} {_missing(rule, layers)}")
    for pattern in plan.skip:
        if not any(fnmatchcase(layer.id, pattern) for layer in layers):
            near = _near(pattern, [layer.id for layer in layers])
            raise PlanError(f"skip {pattern!r} names no layer{near}")
    if plan.rules and not any(matches(r, layer, blocks) for r in plan.rules for layer in layers):
        raise PlanError(f"no rule of the plan accepts a layer; {_missing(plan.rules[0], layers)}")


def matches(rule: Rule, layer: Layer, blocks: int) -> bool:
    """Whether all matchers of a rule accept a layer of a model with `blocks` blocks."""
    return (
        (rule.name is None or fnmatchcase(layer.id, rule.name))
        and (rule.re is None or re.fullmatch(rule.re, layer.id) is not None)
        and (rule.type is None or layer.kind == rule.type)
        and (rule.role is None or fnmatchcase(layer.role, rule.role))
        and (rule.depth is None or _at_depth(rule.depth, layer.block, blocks))
    )


def _win(plan: Plan, layer: Layer, blocks: int) -> Win:
    for pattern in plan.skip:
        if fnmatchcase(layer.id, pattern):
            return Win(f"skip: {pattern}", (F32,), True)
    for rule in plan.rules:
        if matches(rule, layer, blocks):
            return Win(rule.label, rule.formats, rule.format is not None)
    return Win(DEFAULT, None, False)


def _at_depth(depth: int | float | str, block: int | None, blocks: int) -> bool:
    if block is None:
        return False
    text = str(depth)
    between = _RANGE.fullmatch(text)
    low, high = between.groups() if between else (text, text)
    if "." not in text:
        first = int(low) + blocks if low.startswith("-") else int(low)
        last = int(high) if between else first
        return first <= block <= last
    # A share of the depth owns the blocks whose middle lies in it.
    middle = (block + 0.5) / blocks
    if between:
        return float(low) <= middle < float(high)
    share = float(text)
    return middle < share if share >= 0 else middle >= 1 + share


def _missing(rule: Rule, layers: Sequence[Layer]) -> str:
    """Says what a rule that accepts nothing may have meant."""
    key, wanted = next(iter(rule.matchers.items()))
    seen: dict[str, list[str]] = {
        "role": [layer.role for layer in layers],
        "type": [layer.kind for layer in layers],
        "depth": [str(layer.block) for layer in layers if layer.block is not None],
    }
    values = list(dict.fromkeys(seen.get(key, [layer.id for layer in layers])))
    return f"names no layer{_near(str(wanted), values)}"


def _near(wanted: str, values: Sequence[str]) -> str:
    plain = re.sub(r"[*?\[\]^$\\()]", "", wanted)
    close = difflib.get_close_matches(plain, values, n=3, cutoff=0.5)
    if close:
        return f"; did you mean {', '.join(map(repr, close))}?"
    return f"; there are {', '.join(map(repr, values[:6]))}{', ...' if len(values) > 6 else ''}"
