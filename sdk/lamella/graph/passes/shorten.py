"""Gives a finished graph short names and drops what only its making needed.

What stays: operators, attributes, constants, the names and types of inputs and outputs, and the
layer id of each node that carries out a layer. onnxruntime infers all other shapes when it loads
the model; storing them costs more bytes than the codes of a small layer.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import onnx_ir
from onnx_ir.passes import common

from lamella.graph.passes.label import LAYER


def shorten(model: onnx_ir.Model) -> None:
    """Prunes unused nodes and constants, renames the rest; changes the model in place."""
    common.RemoveUnusedNodesPass()(model)
    graph = model.graph
    model.producer_name, model.producer_version = "lamella", None
    graph.name = "lamella"
    interface = {*graph.inputs, *graph.outputs}
    taken = {str(value.name) for value in interface}
    _order_initializers(model, _names("w", taken))
    names = _names("v", taken)
    for node in onnx_ir.traversal.RecursiveGraphIterator(graph):
        node.name, node.doc_string = None, None
        label = node.metadata_props.get(LAYER)
        node.metadata_props.clear()
        if label is not None:
            node.metadata_props[LAYER] = label
        for value in node.outputs:
            if value not in interface:
                _strip(value, next(names))


def _strip(value: onnx_ir.Value, name: str) -> None:
    value.name, value.shape, value.type, value.doc_string = name, None, None, None
    value.metadata_props.clear()


def _order_initializers(model: onnx_ir.Model, names: Iterator[str]) -> None:
    """Stores the constants in the order of their first use, under short names."""
    graph = model.graph
    used: dict[onnx_ir.Value, None] = {}
    for node in onnx_ir.traversal.RecursiveGraphIterator(graph):
        for value in node.inputs:
            if value is not None and value.is_initializer() and value.graph is graph:
                used[value] = None
    kept = [value for value in used if value not in graph.inputs]
    constant_outputs = [value for value in graph.outputs if value.is_initializer()]
    graph.initializers.clear()
    for value in kept:
        if value not in constant_outputs:
            value.name = next(names)
            if value.const_value is not None:
                value.const_value.name = value.name
    for value in dict.fromkeys((*kept, *constant_outputs)):
        graph.register_initializer(value)


def _names(letter: str, taken: set[str]) -> Iterator[str]:
    return (name for n in itertools.count() if (name := f"{letter}{n}") not in taken)
