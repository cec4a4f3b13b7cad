"""Reads an ONNX model into Relax, with its packed weights as arguments of the function.

Weights that were constants would be folded to floating point while TVM compiles; as arguments
they stay packed in memory, and the nodes that unpack them become part of the function.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir
from tvm import ir, relax
from tvm.relax.frontend.onnx import onnx_frontend

from lamella.errors import LoweringError
from lamella.graph.passes.label import LAYER
from lamella.targets.tvm.prepare import fold_pads, lift_parameters, sink_constant_nodes

WAY_OUT = "write the model with `--target onnx`, or leave the operator out of it"


@dataclass(frozen=True, slots=True)
class Imported:
    """A Relax module whose `main` takes the model's inputs and then `parameters`, in order."""

    module: ir.IRModule
    parameters: dict[str, npt.NDArray[Any]]


def load(model: onnx_ir.Model) -> Imported:
    """Imports an ONNX model; `model` is changed on the way and must not be used afterwards.

    Raises:
        LoweringError: names the operator that TVM cannot import, and its node.
    """
    for node in model.graph:
        node.name = node.name or node.metadata_props.get(LAYER) or node.outputs[0].name
    _refuse_unknown_operators(model.graph)
    inputs = len(model.graph.inputs)
    fold_pads(model.graph)
    parameters = lift_parameters(model.graph)
    sink_constant_nodes(model.graph, inputs)
    proto = onnx_ir.to_proto(model)
    importer = _Importer({}, "float32", sanitize=False)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        # Unknown sizes are intended here, and _Importer reports what fails.
        warnings.simplefilter("ignore")
        module = importer.from_onnx(proto.graph, model.opset_imports[""])
    return Imported(module, parameters)


class _Importer(onnx_frontend.ONNXGraphImporter):  # type: ignore[misc]
    """TVM's importer with errors that name the node, and some operators imported in another way."""

    def _convert_operator(
        self, op_name: str, inputs: list[Any], attrs: dict[str, Any], opset: int
    ) -> Any:
        try:
            ours = _CONVERTERS.get(op_name, _leave)(inputs, attrs)
            if ours is not None:
                return self.bb.normalize(ours)
            converted = super()._convert_operator(op_name, inputs, attrs, opset)
            return self.bb.normalize(_bounded(converted)) if op_name == "Gather" else converted
        except Exception as error:
            node = attrs["tvm_custom"]["name"]
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
            raise LoweringError(
                f"TVM cannot import the operator {op_name} of node {node}: {reason}; {WAY_OUT}"
            ) from error


def _leave(_inputs: list[Any], _attrs: dict[str, Any]) -> Any:
    return None


def _clip(inputs: list[Any], _attrs: dict[str, Any]) -> Any:
    """Imports Clip as Relax operators, which the change of layout can look through."""
    limited = inputs[0]
    for bound, limit in zip(list(inputs)[1:3], (relax.op.maximum, relax.op.minimum), strict=False):
        if bound is None:
            continue
        if not isinstance(bound, ir.GenericConst) or np.isnan(bound.value.numpy()).any():
            return None
        limited = limit(limited, bound)
    return limited


def _batch_norm(inputs: list[Any], attrs: dict[str, Any]) -> Any:
    """Imports an inference BatchNormalization as x * factor + offset, which joins its layer."""
    if attrs.get("training_mode", 0):
        return None
    values, *vectors = inputs
    shape = [1, -1, *[1] * (int(values.ty.ndim) - 2)]
    scale, bias, mean, variance = (relax.op.reshape(vector, shape) for vector in vectors)
    epsilon = relax.const(attrs.get("epsilon", 1e-5), "float32")
    factor = relax.op.divide(scale, relax.op.sqrt(relax.op.add(variance, epsilon)))
    offset = relax.op.subtract(bias, relax.op.multiply(mean, factor))
    return relax.op.add(relax.op.multiply(values, factor), offset)


def _bounded(expression: Any) -> Any:
    """Clamps the indices of a take: as imported, one outside of the table reads stray memory."""
    if not isinstance(expression, relax.Call) or expression.op != ir.Op.get("relax.take"):
        return expression
    table, indices = expression.args
    return relax.op.take(table, indices, expression.attrs.axis, mode="clip")


def _reshape(inputs: list[Any], _attrs: dict[str, Any]) -> Any:
    """Imports the Reshape of one size into a shape of rank 1, which TVM takes for a tensor."""
    if not ir.is_prim_expr(inputs[0]) or not isinstance(inputs[1], ir.GenericConst):
        return None
    shape = inputs[1].value.numpy().tolist()
    return relax.ShapeExpr([inputs[0]]) if shape in ([1], [-1]) else None


_CONVERTERS = {"BatchNormalization": _batch_norm, "Clip": _clip, "Reshape": _reshape}


def _refuse_unknown_operators(graph: onnx_ir.Graph) -> None:
    known = onnx_frontend._get_convert_map().keys() | {"If"}
    for node in graph:
        if node.domain not in ("", "ai.onnx") or node.op_type not in known:
            domain = f"{node.domain}." if node.domain else ""
            raise LoweringError(
                f"TVM has no importer for the operator {domain}{node.op_type} of node "
                f"{node.name}; {WAY_OUT}"
            )
