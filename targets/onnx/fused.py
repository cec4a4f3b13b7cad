"""Asks onnxruntime which weights end up in integer kernels, by looking at its optimised graph."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx_ir
import onnxruntime

from lamella.errors import LoweringError

# Operator of onnxruntime: the input that takes the 8-bit weight.
_INTEGER = {
    "QLinearConv": 3,
    "QLinearMatMul": 3,
    "QGemm": 3,
    "MatMulIntegerToFloat": 1,
    "DynamicQuantizeMatMul": 1,
    "MatMulInteger": 1,
    "ConvInteger": 1,
}


def integer_kernels(content: bytes) -> dict[str, str]:
    """Returns, for each 8-bit weight by name, the integer operator that reads it.

    Args:
        content: an ONNX file. It is loaded with the optimisations that it ships with.

    Raises:
        LoweringError: onnxruntime refuses the model.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimised.onnx"
        options.optimized_model_filepath = str(path)
        try:
            onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own classes are not public
            raise LoweringError(f"onnxruntime refuses the model: {error}") from error
        model = onnx_ir.load(path)
        return {
            str(weight.name): node.op_type
            for node in model.graph
            if (weight := _weight(node)) is not None
        }


def _weight(node: onnx_ir.Node) -> onnx_ir.Value | None:
    position = _INTEGER.get(node.op_type)
    return None if position is None or position >= len(node.inputs) else node.inputs[position]
