"""Mirrors sdk/lamella/graph/passes/builder.py."""

from __future__ import annotations

import numpy as np
import onnx_ir
import pytest

from lamella.graph.evaluate import run
from lamella.graph.passes.builder import Builder


def empty(names: tuple[str, ...] = ("x",)) -> onnx_ir.Model:
    inputs = [
        onnx_ir.Value(
            name=name,
            shape=onnx_ir.Shape([2]),
            type=onnx_ir.TensorType(onnx_ir.DataType.FLOAT),
        )
        for name in names
    ]
    graph = onnx_ir.Graph(inputs, [], nodes=[], opset_imports={"": 21}, name="g")
    return onnx_ir.Model(graph, ir_version=10)


def finish(model: onnx_ir.Model, builder: Builder, value: onnx_ir.Value, name: str = "y") -> None:
    value.name, value.type = name, onnx_ir.TensorType(onnx_ir.DataType.FLOAT)
    model.graph.outputs.append(value)
    builder.finish()


def test_equal_constants_are_stored_once_and_counted_once() -> None:
    builder = Builder(empty())
    first = builder.constant(np.ones(3, np.float32))
    assert builder.constant(np.ones(3, np.float32)) is first
    assert builder.added == 12


@pytest.mark.parametrize("other", [np.ones(3, np.int32), np.ones((3, 1), np.float32)])
def test_constants_of_other_types_or_shapes_are_apart(other: np.ndarray) -> None:
    builder = Builder(empty())
    assert builder.constant(np.ones(3, np.float32)) is not builder.constant(other)


def test_a_second_builder_finds_free_names() -> None:
    model = empty()
    Builder(model).constant(np.float32(1))
    Builder(model).constant(np.float32(2))
    assert len(model.graph.initializers) == 2


def test_substituting_the_last_node_keeps_the_name_of_the_output() -> None:
    model = empty()
    builder = Builder(model)
    (x,) = model.graph.inputs
    node = builder.add("Abs", x)
    finish(model, builder, node)
    builder.substitute(node.producer(), builder.add("Neg", x))
    builder.finish()
    x_value = np.array([1, -2], np.float32)
    np.testing.assert_array_equal(run(model, {"x": x_value})["y"], -x_value)


def test_finish_puts_nodes_before_their_readers() -> None:
    model = empty()
    builder = Builder(model)
    (x,) = model.graph.inputs
    reader = builder.add("Abs", x)
    finish(model, builder, reader)
    reader.producer().replace_input_with(0, builder.add("Neg", x))
    builder.finish()
    assert [node.op_type for node in model.graph] == ["Neg", "Abs"]
