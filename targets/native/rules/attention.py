"""Attention over keys and values of the same run."""

from __future__ import annotations

import onnx_ir

from lamella.targets.native.emitter import Emitter, Rule
from lamella.targets.native.program import Value

# (batch, heads, tokens, width) is stored as (batch, tokens, heads, width).
_TOKENS_FIRST = (0, 2, 1, 3)


def _attention(emitter: Emitter, node: onnx_ir.Node) -> None:
    query, keys, values = (
        emitter.arrays.stored(emitter.array(value), _TOKENS_FIRST) for value in node.inputs[:3]
    )
    operands = (query, keys, None, values, None, None, None, _kept(emitter, node))
    result = emitter.program.call(
        "attention",
        operands,
        query.axes,
        integers=(32, 0),
        numbers=(node.attributes["scale"].as_float(),),
    )
    emitter.set(node, emitter.arrays.plain(result).moved(_TOKENS_FIRST))


def _kept(emitter: Emitter, node: onnx_ir.Node) -> Value | None:
    """Returns which positions are seen, as bool (batch, positions)."""
    mask = node.inputs[3]
    if mask is None:
        return None
    given = emitter.arrays.stored(emitter.array(mask))
    return given if given.dtype == "bool" else emitter.as_bool(given)


RULES: dict[str, Rule] = {"Attention": _attention}
