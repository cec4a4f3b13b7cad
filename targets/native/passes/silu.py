"""Makes x * sigmoid(x) one node, `lamella::Silu`."""

from __future__ import annotations

import onnx_ir

from lamella.targets.native.passes.attention import DOMAIN


def fuse_silu(model: onnx_ir.Model) -> int:
    """Replaces every such product and returns how many there were."""
    count = 0
    for node in [node for node in model.graph if node.op_type == "Mul"]:
        source = _gated(node)
        if source is None:
            continue
        silu = onnx_ir.node("Silu", [source], domain=DOMAIN)
        output, made = node.outputs[0], silu.outputs[0]
        made.shape, made.type, made.name = output.shape, output.type, f"{output.name}.fused"
        model.graph.insert_before(node, silu)
        for user, position in tuple(output.uses()):
            user.replace_input_with(position, made)
        for index, port in enumerate(model.graph.outputs):
            if port is output:
                model.graph.outputs[index] = made
                made.name, output.name = output.name, f"{output.name}.taken"
        model.graph.remove(node, safe=True)
        count += 1
    return count


def _gated(node: onnx_ir.Node) -> onnx_ir.Value | None:
    """Returns x where a node is x * sigmoid(x)."""
    for place in (0, 1):
        gate, source = node.inputs[place], node.inputs[1 - place]
        sigmoid = None if gate is None else gate.producer()
        if sigmoid is not None and sigmoid.op_type == "Sigmoid" and sigmoid.inputs[0] is source:
            return source
    return None
