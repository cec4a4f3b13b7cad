"""Finds attention and makes it one node, `lamella::Attention`.

torch writes scaled_dot_product_attention as MatMul(Softmax(MatMul(q * a, k^T * b) + mask), v). The
node has the inputs q, k and v, each (batch, heads, tokens, width), and a graph input that is 1
where a position is seen and 0 where it is hidden, or none; its attribute `scale` is a * b.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir

from lamella.targets.native.passes.calculate import calculate

DOMAIN = "lamella"


def fuse_attention(model: onnx_ir.Model) -> int:
    """Replaces every attention whose mask the kernel knows, and returns how many there were."""
    count = 0
    for node in [node for node in model.graph if node.op_type == "Softmax"]:
        found = _match(node)
        if found is None:
            continue
        last, inputs, scale = found
        attention = onnx_ir.node(
            "Attention",
            inputs,
            {"scale": scale},
            domain=DOMAIN,
            metadata_props=dict(last.metadata_props),
        )
        attention.outputs[0].shape = last.outputs[0].shape
        attention.outputs[0].name = f"{last.outputs[0].name}.fused"
        model.graph.insert_before(last, attention)
        for user, position in tuple(last.outputs[0].uses()):
            user.replace_input_with(position, attention.outputs[0])
        for index, output in enumerate(model.graph.outputs):
            if output is last.outputs[0]:
                model.graph.outputs[index] = attention.outputs[0]
                attention.outputs[0].type = output.type
                attention.outputs[0].name, output.name = output.name, f"{output.name}.taken"
        model.graph.remove(last, safe=True)
        count += 1
    if count:
        model.graph.opset_imports.setdefault(DOMAIN, 1)
    return count


def _match(
    softmax: onnx_ir.Node,
) -> tuple[onnx_ir.Node, list[onnx_ir.Value | None], float] | None:
    """Returns the last node of an attention, the inputs of the new node and its scale."""
    last, scores = _only_user(softmax), softmax.inputs[0]
    if last is None or last.op_type != "MatMul" or last.inputs[0] is not softmax.outputs[0]:
        return None
    kept: onnx_ir.Value | None = None
    adding = _maker(scores, "Add")
    if adding is not None:
        products = [value for value in adding.inputs if _maker(value, "MatMul") is not None]
        if len(products) != 1:
            return None
        scores = products[0]
        mask = adding.inputs[1 - adding.inputs.index(scores)]
        kept = None if mask is None else mask_input(mask)
        if kept is None:
            return None
    product = _maker(scores, "MatMul")
    if product is None:
        return None
    (query, left), (turned, right) = (_scaled(value) for value in product.inputs if value)
    keys = turned_back(turned)
    if keys is None or last.inputs[1] is None:
        return None
    scale = _exact(left * right, last.inputs[1])
    return last, [query, keys, last.inputs[1], kept], scale


def mask_input(mask: onnx_ir.Value) -> onnx_ir.Value | None:
    """Returns the (batch, positions) input of the graph that a mask is made of, or None.

    The mask must add 0 where the input is 1 and hide where it is 0.
    """
    sources = _sources(mask)
    if len(sources) != 1:
        return None
    (source,) = sources
    if source.shape is None or len(source.shape) != 2 or source.dtype is None:
        return None
    given = np.arange(2).reshape(1, 2).astype(source.dtype.numpy())
    found = calculate(mask, {source: given})
    # One sequence of two positions, of which the first is hidden, for every head and token.
    if found is None or found.shape[-1] != 2:
        return None
    rows = found.reshape(-1, 2)
    hidden = rows[:, 0] <= np.finfo(np.float32).min
    return source if bool(hidden.all() and (rows[:, 1] == 0).all()) else None


def turned_back(value: onnx_ir.Value) -> onnx_ir.Value | None:
    """Returns the array of which this one is the last two axes exchanged, or None."""
    node = value.producer()
    chain: list[onnx_ir.Node] = []
    while node is not None and node.op_type in ("Reshape", "Transpose"):
        chain.append(node)
        source = node.inputs[0]
        if source is None:
            return None
        probe = np.arange(2 * 3 * 5 * 7).reshape(2, 3, 5, 7)
        if any(step.op_type == "Transpose" for step in chain):
            try:
                found = calculate(value, {source: probe})
            except ValueError:  # a reshape that another shape than that of the probe asks for
                found = None
            if found is not None and np.array_equal(found, probe.swapaxes(2, 3)):
                return source
        node = source.producer()
    return None


def _exact(scale: float, values: onnx_ir.Value) -> float:
    """Returns 1 / sqrt(width) where the product of the exporter's two factors means it."""
    width = None if values.shape is None else values.shape[-1]
    wanted = width**-0.5 if isinstance(width, int) and width > 0 else scale
    return wanted if math.isclose(scale, wanted, rel_tol=1e-6) else scale


def _scaled(value: onnx_ir.Value) -> tuple[onnx_ir.Value, float]:
    """Takes a constant factor off a value."""
    node = value.producer()
    if node is None or node.op_type != "Mul":
        return value, 1.0
    for place in (0, 1):
        factor, other = node.inputs[place], node.inputs[1 - place]
        constant = None if factor is None else factor.const_value
        if constant is not None and constant.size == 1 and other is not None:
            return other, float(constant.numpy().reshape(-1)[0])
    return value, 1.0


def _sources(value: onnx_ir.Value) -> set[onnx_ir.Value]:
    """Returns the inputs of the graph that a value depends on by more than their shape."""
    found, seen, left = set(), set(), [value]
    while left:
        one = left.pop()
        node = one.producer()
        if one in seen or one.const_value is not None:
            continue
        seen.add(one)
        if node is None:
            found.add(one)
        elif node.op_type != "Shape":
            left += [source for source in node.inputs if source is not None]
    return found


def _only_user(node: onnx_ir.Node) -> onnx_ir.Node | None:
    uses = tuple(node.outputs[0].uses())
    return uses[0].node if len(uses) == 1 and not node.outputs[0].is_graph_output() else None


def _maker(value: onnx_ir.Value | None, operator: str) -> onnx_ir.Node | None:
    """Returns the node that makes a value, if it has this operator."""
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type == operator else None
