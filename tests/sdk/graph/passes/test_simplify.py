from __future__ import annotations

import gc
import weakref

import numpy as np
import onnx_ir

from lamella.graph.evaluate import run
from lamella.graph.passes.label import LAYER
from lamella.graph.passes.simplify import simplify
from lamella.graph.passes.strip import strip

FLOAT = onnx_ir.TensorType(onnx_ir.DataType.FLOAT)


def constant(name: str, array: np.ndarray) -> onnx_ir.Value:
    return onnx_ir.val(name, const_value=onnx_ir.Tensor(array, name=name))


def chain() -> onnx_ir.Model:
    """Returns y = BatchNorm(x + 0) * exp(c) + Gather(table, [0, 1]) for x of shape (batch, 2)."""
    x = onnx_ir.val("x", onnx_ir.DataType.FLOAT, ["batch", 2])
    stored = {
        "zero": np.zeros((), np.float32),
        "exponent": np.array([1, 2], np.float32),
        "table": np.arange(6, dtype=np.float32).reshape(3, 2),
        "places": np.array([1], np.int64),
        "one": np.ones(2, np.float32),
        "shift": np.array([3, 4], np.float32),
    }
    values = {name: constant(name, array) for name, array in stored.items()}
    added = onnx_ir.node("Add", [x, values["zero"]], name="added")
    normal = onnx_ir.node(
        "BatchNormalization",
        [added.outputs[0], *(values[name] for name in ("one", "shift", "shift", "one"))],
        name="normal",
    )
    grown = onnx_ir.node("Exp", [values["exponent"]], name="grown")
    product = onnx_ir.node("Mul", [normal.outputs[0], grown.outputs[0]], name="product")
    row = onnx_ir.node("Gather", [values["table"], values["places"]], name="row")
    row.metadata_props[LAYER] = "table"
    total = onnx_ir.node("Add", [product.outputs[0], row.outputs[0]], name="total")
    total.metadata_props["pkg.torch.onnx.stack_trace"] = 'File "/home/someone/model.py", line 3'
    total.doc_string = "/home/someone/model.py"
    total.outputs[0].name, total.outputs[0].type = "y", FLOAT
    graph = onnx_ir.Graph(
        [x],
        [total.outputs[0]],
        nodes=[added, normal, grown, product, row, total],
        initializers=list(values.values()),
        opset_imports={"": 21},
        name="chain",
    )
    model = onnx_ir.Model(graph, ir_version=10)
    model.metadata_props["written_by"] = "/home/someone/model.py"
    return model


def test_the_simplified_model_computes_the_same() -> None:
    x = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    before = run(chain(), {"x": x}, optimise=False)["y"]
    model = chain()
    simplify(model)
    np.testing.assert_allclose(run(model, {"x": x}, optimise=False)["y"], before, rtol=1e-6)


def test_constants_fold_and_empty_steps_go() -> None:
    model = chain()
    simplify(model)
    operators = [node.op_type for node in model.graph]
    assert operators == ["BatchNormalization", "Mul", "Gather", "Add"]


def test_a_labelled_node_is_not_folded_though_its_inputs_are_constant() -> None:
    model = chain()
    simplify(model)
    (row,) = [node for node in model.graph if node.metadata_props.get(LAYER)]
    assert (row.op_type, row.inputs[0].name) == ("Gather", "table")


def test_a_simplified_graph_can_be_freed() -> None:
    model = chain()
    simplify(model)
    graph = weakref.ref(model.graph)
    del model
    gc.collect()
    assert graph() is None


def test_stripping_leaves_layer_ids_and_no_other_words() -> None:
    model = chain()
    strip(model)
    content = onnx_ir.to_proto(model).SerializeToString()
    assert b"/home/someone" not in content
    assert [node.metadata_props for node in model.graph if node.metadata_props] == [
        {LAYER: "table"}
    ]
