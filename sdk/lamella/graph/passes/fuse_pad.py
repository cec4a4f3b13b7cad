"""Moves zero padding into the convolutions that read it.

A Pad of zeros along the spatial axes, read only by convolutions, is what their attribute `pads`
does. Without the Pad between them, onnxruntime can fuse the layer before with its rounding.
"""

from __future__ import annotations

import onnx_ir


def fuse_pads(model: onnx_ir.Model) -> int:
    """Removes every such Pad, in place, and returns how many there were."""
    count = 0
    for node in [node for node in model.graph if node.op_type == "Pad"]:
        source, spatial = node.inputs[0], _spatial_pads(node)
        users = [use.node for use in node.outputs[0].uses()]
        if source is None or spatial is None or not users or node.outputs[0].is_graph_output():
            continue
        if not all(_takes_pads(user, node.outputs[0], len(spatial)) for user in users):
            continue
        for user in users:
            before = user.attributes["pads"].as_ints()
            total = [own + added for own, added in zip(before, spatial, strict=True)]
            user.attributes["pads"] = onnx_ir.AttrInt64s("pads", total)
            user.replace_input_with(0, source)
        model.graph.remove(node, safe=True)
        count += 1
    return count


def _spatial_pads(node: onnx_ir.Node) -> list[int] | None:
    """Returns begins and ends of the axes behind channels, or None if more than that is padded."""
    mode = node.attributes.get("mode")
    if (mode is not None and mode.as_string() != "constant") or len(node.inputs) > 3:
        return None
    sizes = node.inputs[1]
    if sizes is None or sizes.const_value is None or not _is_zero(node):
        return None
    pads = [int(size) for size in sizes.const_value.numpy()]
    rank = len(pads) // 2
    begins, ends = pads[:rank], pads[rank:]
    if any((*begins[:2], *ends[:2])) or min(pads) < 0:
        return None
    return begins[2:] + ends[2:]


def _is_zero(node: onnx_ir.Node) -> bool:
    """Whether what is padded with is 0, also the default."""
    value = node.inputs[2] if len(node.inputs) > 2 else None
    return value is None or (value.const_value is not None and not value.const_value.numpy().any())


def _takes_pads(user: onnx_ir.Node, padded: onnx_ir.Value, count: int) -> bool:
    if user.op_type != "Conv" or user.inputs[0] is not padded:
        return False
    pads, automatic = user.attributes.get("pads"), user.attributes.get("auto_pad")
    explicit = automatic is None or automatic.as_string() == "NOTSET"
    return explicit and pads is not None and len(pads.as_ints()) == count
