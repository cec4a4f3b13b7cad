"""Mirrors sdk/lamella/graph/passes/shorten.py."""

from __future__ import annotations

import numpy as np
import onnx_ir

from lamella.graph.evaluate import run, serialise
from lamella.graph.passes.builder import Builder
from lamella.graph.passes.label import LAYER
from lamella.graph.passes.shorten import shorten


def long_names(input_name: str = "w0", output_name: str = "v0") -> onnx_ir.Model:
    """A model whose interface has the names that the pass would give."""
    kind = onnx_ir.TensorType(onnx_ir.DataType.FLOAT)
    x = onnx_ir.Value(name=input_name, shape=onnx_ir.Shape([2]), type=kind)
    graph = onnx_ir.Graph([x], [], nodes=[], opset_imports={"": 21}, name="a_long_name")
    model = onnx_ir.Model(graph, ir_version=10, producer_name="someone")
    builder = Builder(model)
    builder.constant(np.arange(1000))  # never used
    total = builder.add("Add", x, builder.constant(np.float32(2)), layer="encoder.fc")
    node = total.producer()
    node.name = "a_long_name_of_a_node"
    node.metadata_props["pkg.torch.onnx.name_scopes"] = "['', 'encoder']"
    total.name = "a_long_name_of_a_value"
    y = builder.add("Mul", total, builder.constant(np.float32(3)))
    y.name, y.type = output_name, kind
    graph.outputs.append(y)
    return model


def test_numbers_and_interface_stay() -> None:
    model = long_names()
    shorten(model)
    x = np.array([1, 2], np.float32)
    assert list(run(model, {"w0": x})) == ["v0"]
    np.testing.assert_array_equal(run(model, {"w0": x})["v0"], (x + 2) * 3)


def test_unused_constants_go() -> None:
    model = long_names()
    shorten(model)
    assert len(model.graph.initializers) == 2


def test_of_the_metadata_only_layer_ids_stay() -> None:
    model = long_names()
    shorten(model)
    assert [dict(node.metadata_props) for node in model.graph] == [{LAYER: "encoder.fc"}, {}]


def test_no_long_name_is_left_in_the_file() -> None:
    model = long_names("x", "y")
    shorten(model)
    content = serialise(model)
    assert b"a_long_name" not in content
    assert b"someone" not in content


def test_the_bytes_do_not_depend_on_the_names_before() -> None:
    first, second = long_names("x", "y"), long_names("x", "y")
    for node in second.graph:
        node.name = f"other_{node.name}"
    shorten(first)
    shorten(second)
    assert serialise(first) == serialise(second)
