"""Removes what the exporter writes about its own run: stack traces, paths, class names."""

from __future__ import annotations

import onnx_ir

from lamella.graph.passes.label import LAYER, SCOPES

_KEPT = (LAYER, SCOPES)


def strip(model: onnx_ir.Model) -> None:
    """Keeps layer ids and name scopes; no other metadata, and no text of the exporting machine."""
    model.metadata_props.clear()
    model.doc_string = None
    model.graph.metadata_props.clear()
    model.graph.doc_string = None
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    for node in onnx_ir.traversal.RecursiveGraphIterator(model.graph):
        for key in [key for key in node.metadata_props if key not in _KEPT]:
            del node.metadata_props[key]
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
            value.doc_string = None
