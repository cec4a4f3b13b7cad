"""Writes the id of each layer into the metadata of the nodes that read its weight."""

from __future__ import annotations

import ast
from collections.abc import Mapping

import numpy as np
import onnx_ir

from lamella.graph.calls import plain_path

LAYER = "lamella.layer"
SCOPES = "pkg.torch.onnx.name_scopes"

# The operators that consume a weight, and at which input.
_WEIGHT_AT = {"MatMul": 1, "Gemm": 1, "Conv": 1, "Gather": 0}


def label(model: onnx_ir.Model, owners: Mapping[str, tuple[str, ...]]) -> None:
    """Labels every call of a layer and folds a transposition of its weight.

    Args:
        model: as the exporter leaves it before optimisation: initializers carry the names of
            parameters, and a weight is at most transposed or copied before its use.
        owners: for each parameter the layers whose weight it is.
    """
    folded: dict[tuple[str, tuple[int, ...]], onnx_ir.Value] = {}
    for node in list(model.graph):
        position = _WEIGHT_AT.get(node.op_type)
        if position is None:
            continue
        weight = node.inputs[position]
        if weight is None:
            continue
        name, order = _origin(weight)
        scopes = ast.literal_eval(node.metadata_props.get(SCOPES, "[]"))
        path = plain_path(scopes[-2]) if len(scopes) > 1 else ""
        if path not in owners.get(name, ()):
            continue
        node.metadata_props[LAYER] = path
        parameter = model.graph.initializers[name]
        if weight is not parameter:
            key = (name, order)
            if key not in folded:
                folded[key] = _reorder(model, parameter, order)
            node.replace_input_with(position, folded[key])


def labelled(model: onnx_ir.Model) -> dict[str, list[onnx_ir.Node]]:
    """Returns the labelled nodes of a model by layer id, each list in execution order."""
    found: dict[str, list[onnx_ir.Node]] = {}
    for node in model.graph:
        layer = node.metadata_props.get(LAYER)
        if layer is not None:
            found.setdefault(layer, []).append(node)
    return found


def _origin(weight: onnx_ir.Value) -> tuple[str, tuple[int, ...]]:
    """Returns the initializer a weight comes from and the order of its axes, () if unchanged."""
    node = weight.producer()
    if node is None:
        return str(weight.name), ()
    if node.op_type not in ("Transpose", "Identity") or node.inputs[0] is None:
        return "", ()
    name, order = _origin(node.inputs[0])
    if node.op_type == "Identity":
        return name, order
    if order or "perm" not in node.attributes:
        return "", ()
    return name, tuple(node.attributes["perm"].as_ints())


def _reorder(
    model: onnx_ir.Model, parameter: onnx_ir.Value, order: tuple[int, ...]
) -> onnx_ir.Value:
    """Adds an initializer that is a view of a parameter with its axes reordered."""
    if not order or parameter.const_value is None:
        return parameter
    name = f"{parameter.name}.transposed"
    array = np.transpose(parameter.const_value.numpy(), order)
    tensor = onnx_ir.Tensor(array, name=name)
    value = onnx_ir.Value(
        name=name, shape=tensor.shape, type=onnx_ir.TensorType(tensor.dtype), const_value=tensor
    )
    model.graph.register_initializer(value)
    return value
