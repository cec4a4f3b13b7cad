"""Mirrors targets/tvm/importer.py and targets/tvm/prepare.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir
import pytest

pytest.importorskip("tvm", reason="apache-tvm is not installed")

from lamella.errors import LoweringError
from lamella.graph import evaluate
from lamella.targets.tvm import importer, prepare, program
from lamella.targets.tvm.build import compile_library
from lamella.targets.tvm.program import Description, Port
from lamella.targets.tvm.runner import open_program

RNG = np.random.default_rng(0)


def value(name: str, shape: tuple[int, ...], dtype: Any = np.float32) -> onnx_ir.Value:
    kind = onnx_ir.TensorType(onnx_ir.DataType.from_numpy(np.dtype(dtype)))
    return onnx_ir.Value(name=name, shape=onnx_ir.Shape(shape), type=kind)


def constant(name: str, array: np.ndarray) -> onnx_ir.Value:
    made = value(name, array.shape, array.dtype)
    made.const_value = onnx_ir.Tensor(array, name=name)
    return made


def node(operator: str, *inputs: onnx_ir.Value | None, **attributes: Any) -> onnx_ir.Node:
    return onnx_ir.node(operator, inputs, attributes, num_outputs=1, name=f"a {operator}")


def graph(
    inputs: list[onnx_ir.Value], nodes: list[onnx_ir.Node], shape: tuple[int, ...]
) -> onnx_ir.Model:
    output = nodes[-1].outputs[0]
    output.name, output.shape = "y", onnx_ir.Shape(shape)
    output.type = onnx_ir.TensorType(onnx_ir.DataType.FLOAT)
    read = {id(source): source for one in nodes for source in one.inputs if source is not None}
    made = onnx_ir.Graph(
        inputs,
        [output],
        nodes=nodes,
        initializers=[source for source in read.values() if source.const_value is not None],
        opset_imports={"": 21},
        name="test",
    )
    return onnx_ir.Model(made, ir_version=10)


def run(model: onnx_ir.Model, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """Imports, compiles and runs a model of one output on this machine."""
    ports = [
        tuple(
            Port(str(entry.name), entry.dtype.numpy().name, tuple(entry.shape.numpy()))
            for entry in entries
        )
        for entries in (model.graph.inputs, model.graph.outputs)
    ]
    imported = importer.load(model)
    parameters, content = program.lay_out(imported.parameters)
    files = {
        program.LIBRARY: compile_library(imported.module, "x86_64"),
        program.PARAMETERS: content,
        program.DESCRIPTION: Description("x86_64", (), "cpu", *ports, parameters).to_json(),
    }
    return open_program(files, 1).run(feeds)["y"]


def test_an_unknown_operator_is_named_with_its_node_and_the_way_out() -> None:
    x = value("x", (2, 3))
    model = graph([x], [node("ReverseSequence", x, constant("n", np.array([1, 2, 3])))], (2, 3))
    with pytest.raises(
        LoweringError, match=r"ReverseSequence of node a ReverseSequence; .*--target onnx"
    ):
        importer.load(model)


def test_an_operator_of_another_domain_is_refused_by_its_full_name() -> None:
    x = value("x", (2, 3))
    foreign = onnx_ir.node("Gelu", [x], domain="com.microsoft", num_outputs=1, name="g")
    with pytest.raises(LoweringError, match=r"operator com\.microsoft\.Gelu of node g"):
        importer.load(graph([x], [foreign], (2, 3)))


def test_an_operator_that_fails_to_import_is_named_with_its_node() -> None:
    x, scale = value("x", (2, 32)), constant("scale", np.ones((2, 2), np.float32))
    blocked = node("QuantizeLinear", x, scale, axis=1, block_size=16)
    back = node("DequantizeLinear", blocked.outputs[0], constant("one", np.float32(1)))
    with pytest.raises(LoweringError, match=r"QuantizeLinear of node a QuantizeLinear: .*blocked"):
        importer.load(graph([x], [blocked, back], (2, 32)))


def test_weights_become_arguments_and_small_constants_do_not() -> None:
    x, codes = value("x", (2, 16)), RNG.integers(0, 255, (16, 16), np.uint8)
    cast = node("Cast", constant("codes", codes), to=int(onnx_ir.DataType.FLOAT))
    shifted = node("Sub", cast.outputs[0], constant("zero", np.float32(128)))
    product = node("MatMul", x, shifted.outputs[0])
    imported = importer.load(graph([x], [cast, shifted, product], (2, 16)))
    assert list(imported.parameters) == ["codes"]
    np.testing.assert_array_equal(imported.parameters["codes"], codes)


def test_an_index_outside_of_the_table_reads_its_nearest_row() -> None:
    table, at = RNG.normal(size=(10, 8)).astype(np.float32), value("at", (5,), np.int64)
    model = graph([at], [node("Gather", constant("table", table), at)], (5, 8))
    indices = np.array([0, 9, -1, 10, 1 << 40])
    np.testing.assert_array_equal(run(model, {"at": indices}), table[[0, 9, 9, 9, 9]])


def test_batch_normalisation_follows_its_definition() -> None:
    x = value("x", (2, 16, 5, 5))
    vectors = [RNG.uniform(0.5, 2, 16).astype(np.float32) for _ in range(4)]
    parts = [constant(f"part{at}", vector) for at, vector in enumerate(vectors)]
    model = graph([x], [node("BatchNormalization", x, *parts, epsilon=1e-3)], (2, 16, 5, 5))
    data = RNG.normal(size=(2, 16, 5, 5)).astype(np.float32)
    scale, bias, mean, variance = (part.astype(np.float64)[:, None, None] for part in vectors)
    expected = (data - mean) / np.sqrt(variance + 1e-3) * scale + bias
    # Six roundings on values below 2 * (4 + 2) / 0.7, then one subtraction of like size.
    np.testing.assert_allclose(run(model, {"x": data}), expected, rtol=0, atol=16 * 18 * 2**-24)


@pytest.mark.parametrize("missing", [0, 1])
def test_clip_with_one_bound_leaves_the_other_side_open(missing: int) -> None:
    x = value("x", (64,))
    bounds = [constant("low", np.float32(-0.5)), constant("high", np.float32(0.5))]
    given = [None if at == missing else bound for at, bound in enumerate(bounds)]
    data = RNG.normal(size=64).astype(np.float32)
    limits = [None if bound is None else bound.const_value.numpy() for bound in given]
    np.testing.assert_array_equal(
        run(graph([x], [node("Clip", x, *given)], (64,)), {"x": data}), np.clip(data, *limits)
    )


def padded_convolution(amounts: list[int], pad_value: float = 0.0, **mode: str) -> onnx_ir.Model:
    x, weight = value("x", (1, 3, 8, 8)), RNG.normal(size=(8, 3, 3, 3)).astype(np.float32)
    pads = constant("pads", np.array(amounts))
    pad = node("Pad", x, pads, constant("filler", np.float32(pad_value)), **mode)
    convolution = node(
        "Conv", pad.outputs[0], constant("weight", weight), strides=[2, 2], pads=[0, 0, 1, 1]
    )
    height, width = (8 + amounts[2] + amounts[6] - 2) // 2, (8 + amounts[3] + amounts[7] - 2) // 2
    return graph([x], [pad, convolution], (1, 8, height, width))


def test_zeros_around_an_image_join_the_convolution() -> None:
    model, feeds = padded_convolution([0, 0, 0, 1, 0, 0, 2, 1]), image()
    expected = evaluate.run(model, feeds)["y"]
    prepare.fold_pads(model.graph)
    assert [one.op_type for one in model.graph] == ["Conv"]
    np.testing.assert_array_equal(evaluate.run(model, feeds)["y"], expected)


@pytest.mark.parametrize(
    ("amounts", "pad_value", "mode"),
    [
        ([0, 0, 1, 1, 0, 0, 1, 1], 1.0, {}),
        ([0, 0, 1, 1, 0, 0, 1, 1], 0.0, {"mode": "reflect"}),
        ([0, 0, -1, 0, 0, 0, 0, 0], 0.0, {}),
    ],
)
def test_other_pads_stay(amounts: list[int], pad_value: float, mode: dict[str, str]) -> None:
    model, feeds = padded_convolution(amounts, pad_value, **mode), image()
    expected = evaluate.run(model, feeds)["y"]
    prepare.fold_pads(model.graph)
    assert [one.op_type for one in model.graph] == ["Pad", "Conv"]
    np.testing.assert_array_equal(evaluate.run(model, feeds)["y"], expected)


def image() -> dict[str, np.ndarray]:
    return {"x": RNG.normal(size=(1, 3, 8, 8)).astype(np.float32)}


def test_each_weight_is_unpacked_just_before_its_layer() -> None:
    x, weights = value("x", (2, 16)), RNG.integers(0, 255, (2, 16, 16), np.uint8)
    casts = [
        node("Cast", constant(f"codes{at}", part), to=int(onnx_ir.DataType.FLOAT))
        for at, part in enumerate(weights)
    ]
    first = node("MatMul", x, casts[0].outputs[0])
    second = node("MatMul", first.outputs[0], casts[1].outputs[0])
    model = graph([x], [*casts, first, second], (2, 16))
    prepare.sink_constant_nodes(model.graph, 1)
    assert list(model.graph) == [casts[0], first, casts[1], second]
