"""Mirrors sdk/lamella/graph/passes/round_values.py: the graph in onnxruntime against numpy."""

from __future__ import annotations

import numpy as np
import onnx_ir
import onnxruntime
import pytest

from lamella.graph.passes.builder import Builder
from lamella.graph.passes.round_values import quantized_tokens, rounded, rounded_tokens

X = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)


@pytest.fixture
def model() -> onnx_ir.Model:
    value = onnx_ir.val("x", onnx_ir.DataType.FLOAT, [5, 7])
    node = onnx_ir.node("Identity", [value])
    graph = onnx_ir.Graph([value], node.outputs, nodes=[node], opset_imports={"": 21})
    return onnx_ir.Model(graph, ir_version=10)


def run(model: onnx_ir.Model, value: onnx_ir.Value, builder: Builder, x: np.ndarray) -> np.ndarray:
    builder.finish()
    value.dtype, value.shape = onnx_ir.DataType.FLOAT, onnx_ir.Shape([5, 7])
    model.graph.outputs[:] = [value]
    session = onnxruntime.InferenceSession(onnx_ir.to_proto(model).SerializeToString())
    result: np.ndarray = session.run(None, {"x": x})[0]
    return result


def test_a_fixed_grid_rounds_to_its_codes_and_clips(model: onnx_ir.Model) -> None:
    builder = Builder(model)
    found = run(model, rounded(builder, model.graph.inputs[0], 0.01, 100), builder, X)
    codes = np.clip(np.rint(X / np.float32(0.01)) + 100, 0, 255)
    np.testing.assert_array_equal(found, (codes - 100).astype(np.float32) * np.float32(0.01))


def test_every_token_has_a_scale_of_its_own_and_zeros_stay_zeros(model: onnx_ir.Model) -> None:
    x = X * np.array([[1e-6], [1], [1e6], [0], [3]], np.float32)
    builder = Builder(model)
    found = run(model, rounded_tokens(builder, model.graph.inputs[0]), builder, x)
    scale = np.maximum(np.abs(x).max(-1, keepdims=True) / np.float32(127), np.finfo("f4").tiny)
    np.testing.assert_array_equal(found, np.rint(x / scale) * scale)
    assert not found[3].any()


def test_readers_of_one_value_share_its_nodes(model: onnx_ir.Model) -> None:
    builder, value = Builder(model), model.graph.inputs[0]
    assert rounded(builder, value, 0.5, 3) is rounded(builder, value, 0.5, 3)
    assert rounded(builder, value, 0.5, 3) is not rounded(builder, value, 0.5, 4)
    assert rounded_tokens(builder, value) is rounded_tokens(builder, value)
    assert quantized_tokens(builder, value) == quantized_tokens(builder, value)
