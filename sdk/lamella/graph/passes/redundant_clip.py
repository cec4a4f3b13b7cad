"""Removes a Relu or Clip whose effect the rounding behind it has anyway.

QuantizeLinear clips to the range of its 8-bit codes. If the bounds of an activation function
round to the ends of that range, Q(clip(x)) = Q(x) for every x, because rounding is monotone.
Without the node in between, onnxruntime fuses the layer before it with the rounding.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir


def remove_redundant_clips(model: onnx_ir.Model) -> int:
    """Removes every such node, in place, and returns how many there were."""
    found = [node for node in model.graph if node.op_type in ("Relu", "Clip") and _redundant(node)]
    for node in found:
        source = node.inputs[0]
        assert source is not None
        for user, position in tuple(node.outputs[0].uses()):
            user.replace_input_with(position, source)
        model.graph.remove(node, safe=True)
    return len(found)


def _redundant(node: onnx_ir.Node) -> bool:
    output, bounds = node.outputs[0], _bounds(node)
    if output.is_graph_output() or bounds is None:
        return False
    users = [use.node for use in output.uses()]
    return bool(users) and all(_covered(user, *bounds) for user in users)


def _bounds(node: onnx_ir.Node) -> tuple[float, float] | None:
    """Returns what a Relu or Clip limits its input to, or None if that is not constant."""
    if node.op_type == "Relu":
        return 0.0, math.inf
    limits = []
    for position, default in ((1, -math.inf), (2, math.inf)):
        given = node.inputs[position] if len(node.inputs) > position else None
        if given is None:
            limits.append(default)
        elif given.const_value is None:
            return None
        else:
            limits.append(float(given.const_value.numpy()))
    return limits[0], limits[1]


def _covered(user: onnx_ir.Node, low: float, high: float) -> bool:
    """Whether a rounding to uint8 sends `low` to code 0 or below and `high` to 255 or above."""
    if user.op_type != "QuantizeLinear" or len(user.inputs) < 3:
        return False
    scale, zero = (value.const_value if value else None for value in user.inputs[1:3])
    if scale is None or zero is None or zero.dtype != onnx_ir.DataType.UINT8:
        return False
    step, offset = np.float32(scale.numpy()), int(zero.numpy())
    lowest = -math.inf if low == -math.inf else np.rint(np.float32(low) / step) + offset
    highest = math.inf if high == math.inf else np.rint(np.float32(high) / step) + offset
    return bool(lowest <= 0 and highest >= 255)
