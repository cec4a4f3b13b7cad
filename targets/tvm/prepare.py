"""Brings an ONNX graph into the shape in which TVM imports it well."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir

from lamella.errors import LoweringError

# Larger arrays than this are arguments; smaller ones (bounds, axes, nibble masks) are folded.
_LARGEST_CONSTANT = 8
# Shapes and positions: the importer must see their values to know the sizes of other tensors.
_ALWAYS_CONSTANT = (np.int64, np.int32, np.bool_)


def fold_pads(graph: onnx_ir.Graph) -> None:
    """Gives the zeros that a Pad puts around an image to the convolution that reads it."""
    for conv in graph:
        source = conv.inputs[0] if conv.op_type == "Conv" else None
        pad = None if source is None else source.producer()
        if source is None or pad is None or pad.op_type != "Pad" or source.is_graph_output():
            continue
        added = _zeros_around(pad)
        automatic = conv.attributes.get("auto_pad")
        if automatic is not None and automatic.as_string() != "NOTSET":
            continue
        if added is None or len(source.uses()) != 1:
            continue
        own = conv.attributes.get("pads")
        before = [0] * len(added) if own is None else list(own.as_ints())
        pads = [one + other for one, other in zip(before, added, strict=True)]
        conv.attributes["pads"] = onnx_ir.AttrInt64s("pads", pads)
        conv.replace_input_with(0, pad.inputs[0])
        graph.remove(pad, safe=True)


def lift_parameters(graph: onnx_ir.Graph) -> dict[str, npt.NDArray[Any]]:
    """Turns the arrays that hold weights, scales and biases into inputs of the graph."""
    lifted: dict[str, npt.NDArray[Any]] = {}
    for name, value in list(graph.initializers.items()):
        tensor = value.const_value
        if tensor is None:
            raise LoweringError(f"the ONNX initializer {name} holds no data")
        array = tensor.numpy()
        if array.dtype in _ALWAYS_CONSTANT or array.size <= _LARGEST_CONSTANT:
            continue
        del graph.initializers[name]
        value.const_value = None
        value.dtype, value.shape = tensor.dtype, onnx_ir.Shape(array.shape)
        graph.inputs.append(value)
        lifted[name] = np.ascontiguousarray(array)
    return lifted


def sink_constant_nodes(graph: onnx_ir.Graph, inputs: int) -> None:
    """Moves every node that unpacks a weight to just before its first reader.

    TVM runs nodes in the order of the graph: were all weights unpacked at the start, all would
    exist in floating point at once.
    """
    nodes = list(graph)
    moving = set(graph.inputs[:inputs])
    placed: set[onnx_ir.Node] = set()
    order: list[onnx_ir.Node] = []
    for node in nodes:
        if moving.intersection(node.inputs) or _has_subgraph(node):
            moving.update(node.outputs)
            order.extend(_not_yet(node, placed))
    for output in graph.outputs:
        if (producer := output.producer()) is not None:
            order.extend(_not_yet(producer, placed))
    graph.remove(nodes)
    graph.extend(order)


def _not_yet(node: onnx_ir.Node, placed: set[onnx_ir.Node]) -> list[onnx_ir.Node]:
    """Returns `node` after those it needs, all that are not placed yet, and marks them."""
    order: list[onnx_ir.Node] = []
    waiting = [node]
    while waiting:
        current = waiting[-1]
        needed = [value.producer() for value in current.inputs if value is not None]
        missing = [source for source in needed if source is not None and source not in placed]
        if missing and current not in placed:
            waiting.extend(missing)
            continue
        waiting.pop()
        if current not in placed:
            placed.add(current)
            order.append(current)
    return order


def _has_subgraph(node: onnx_ir.Node) -> bool:
    """Whether the node may read values that are not among its inputs."""
    graphs = (onnx_ir.AttributeType.GRAPH, onnx_ir.AttributeType.GRAPHS)
    return any(attribute.type in graphs for attribute in node.attributes.values())


def _zeros_around(pad: onnx_ir.Node) -> list[int] | None:
    """Returns the zeros before and after each spatial axis, or None if there is more to the pad."""
    mode = pad.attributes.get("mode")
    if mode is not None and mode.as_string() != "constant":
        return None
    given = [*pad.inputs[1:], None, None, None][:3]
    amounts, value, axes = (None if part is None else part.const_value for part in given)
    if amounts is None or axes is not None or any(part is not None for part in given[2:]):
        return None
    if given[1] is not None and (value is None or value.numpy().any()):
        return None
    before, after = amounts.numpy().reshape(2, -1).tolist()
    images_only = not any((*before[:2], *after[:2])) and min(*before, *after) >= 0
    return [*before[2:], *after[2:]] if images_only else None
