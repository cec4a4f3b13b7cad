"""Mirrors sdk/lamella/graph/passes/dequantize.py: the subgraph against Quantized.decode()."""

from __future__ import annotations

import numpy as np
import onnx_ir
import onnxruntime
import pytest

from lamella.errors import LoweringError
from lamella.formats import GROUPS, WEIGHT_BITS, parse
from lamella.graph.evaluate import serialise
from lamella.graph.passes.builder import Builder
from lamella.graph.passes.dequantize import dequantize
from lamella.graph.passes.label import LAYER
from lamella.grids import Quantized, quantize

EVERY_FORMAT = [
    f"w{bits}{group}{zero}"
    for bits in WEIGHT_BITS
    for group in ("", *(f"g{size}" for size in GROUPS))
    for zero in ("", "z")
]


def random_weight(format_id: str, rows: int, cols: int, seed: int = 0) -> Quantized:
    values = np.random.default_rng(seed).standard_normal((rows, cols)).astype(np.float32)
    return quantize(values, parse(format_id))


def one_layer(operator: str, weight: np.ndarray, shape: list[int], **attributes: int):
    """A model of one labelled node whose weight is an initializer."""
    kind = onnx_ir.DataType.INT64 if operator == "Gather" else onnx_ir.DataType.FLOAT
    value = onnx_ir.Value(name="x", shape=onnx_ir.Shape(shape), type=onnx_ir.TensorType(kind))
    graph = onnx_ir.Graph([value], [], nodes=[], opset_imports={"": 21}, name="g")
    model = onnx_ir.Model(graph, ir_version=10)
    builder = Builder(model)
    inputs = (
        [builder.constant(weight), value]
        if operator == "Gather"
        else [value, builder.constant(weight)]
    )
    result = builder.add(operator, *inputs, layer="layer", **attributes)
    result.name, result.type = "y", onnx_ir.TensorType(onnx_ir.DataType.FLOAT)
    graph.outputs.append(result)
    return model


def folded(model: onnx_ir.Model, tmp_path) -> onnx_ir.Model:
    """The model as onnxruntime folds and fuses it."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Beyond this level convolutions change their layout, which depends on the machine.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(serialise(model), options, providers=["CPUExecutionProvider"])
    return onnx_ir.load(tmp_path / "optimised.onnx")


@pytest.mark.parametrize("cols", [128, 50])
@pytest.mark.parametrize("format_id", EVERY_FORMAT)
def test_onnxruntime_folds_the_packed_weight_into_exactly_the_decoded_one(
    format_id: str, cols: int, tmp_path
) -> None:
    weight = random_weight(format_id, 7, cols)
    model = one_layer("MatMul", weight.decode().T, [2, cols])
    dequantize(model, {"layer": weight})
    optimised = folded(model, tmp_path)
    assert [node.op_type for node in optimised.graph] == ["MatMul"]
    (stored,) = optimised.graph.initializers.values()
    np.testing.assert_array_equal(stored.const_value.numpy(), weight.decode().T)


@pytest.mark.parametrize(
    ("operator", "shape", "weight_shape", "attributes"),
    [
        ("Gemm", [2, 36], (5, 36), {"transB": 1}),
        ("Gather", [3], (5, 36), {"axis": 0}),
        ("Conv", [1, 4, 8, 8], (5, 4, 3, 3), {}),
        ("Conv", [1, 12, 8], (5, 12, 3), {}),
    ],
)
def test_each_operator_reads_the_weight_in_its_own_shape(
    operator: str, shape: list[int], weight_shape: tuple[int, ...], attributes, tmp_path
) -> None:
    weight = random_weight("w3g16z", 5, 36)
    model = one_layer(operator, weight.decode().reshape(weight_shape), shape, **attributes)
    dequantize(model, {"layer": weight})
    optimised = folded(model, tmp_path)
    assert [node.op_type for node in optimised.graph] == [operator]
    (stored,) = optimised.graph.initializers.values()
    np.testing.assert_array_equal(stored.const_value.numpy(), weight.decode().reshape(weight_shape))


def test_a_square_weight_of_a_matmul_is_transposed() -> None:
    weight = random_weight("w4", 16, 16)
    model = one_layer("MatMul", weight.decode().T, [2, 16])
    dequantize(model, {"layer": weight})
    x = np.eye(2, 16, dtype=np.float32)
    session = onnxruntime.InferenceSession(serialise(model), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], weight.decode().T[:2])


def test_the_label_of_the_layer_survives() -> None:
    weight = random_weight("w4g16", 4, 16)
    model = one_layer("MatMul", weight.decode().T, [2, 16])
    dequantize(model, {"layer": weight})
    labels = [node.metadata_props.get(LAYER) for node in model.graph]
    assert labels.count("layer") == 1


def test_a_layer_without_a_node_is_refused_by_name() -> None:
    weight = random_weight("w4g16", 4, 16)
    model = one_layer("MatMul", weight.decode().T, [2, 16])
    with pytest.raises(LoweringError, match=r"encoder\.0"):
        dequantize(model, {"encoder.0": weight})
