from __future__ import annotations

import numpy as np
import onnx_ir
import pytest

from lamella.graph.passes.label import LAYER, SCOPES, label, labelled

WEIGHT = np.arange(12, dtype=np.float32).reshape(3, 4)


def product(*steps: tuple[str, dict[str, object]], scope: str = "layer") -> onnx_ir.Model:
    """Returns x @ f(w) where f applies `steps` to the initializer `layer.weight`."""
    x = onnx_ir.val("x", onnx_ir.DataType.FLOAT, [2, 4])
    weight = onnx_ir.val("layer.weight", const_value=onnx_ir.Tensor(WEIGHT, name="layer.weight"))
    nodes: list[onnx_ir.Node] = []
    value = weight
    for operator, attributes in steps:
        nodes.append(onnx_ir.node(operator, [value], attributes))
        value = nodes[-1].outputs[0]
    nodes.append(onnx_ir.node("MatMul", [x, value], name="multiply"))
    nodes[-1].metadata_props[SCOPES] = repr(["", scope, "linear"])
    graph = onnx_ir.Graph(
        [x], nodes[-1].outputs, nodes=nodes, initializers=[weight], opset_imports={"": 21}
    )
    return onnx_ir.Model(graph, ir_version=10)


TURN = ("Transpose", {"perm": [1, 0]})
SAME = ("Identity", {})
OWNERS = {"layer.weight": ("layer",)}


@pytest.mark.parametrize("steps", [(TURN,), (SAME, TURN), (TURN, SAME)])
def test_a_transposed_weight_becomes_an_initializer(steps: tuple[object, ...]) -> None:
    model = product(*steps)  # type: ignore[arg-type]
    label(model, OWNERS)
    (node,) = labelled(model)["layer"]
    value = node.inputs[1]
    assert value is not None
    assert value.const_value is not None
    assert value.name in model.graph.initializers
    np.testing.assert_array_equal(value.const_value.numpy(), WEIGHT.T)
    assert np.shares_memory(value.const_value.numpy(), WEIGHT)


@pytest.mark.parametrize("scope", ["layer@1", "layer"])
def test_a_second_call_of_a_module_has_its_id(scope: str) -> None:
    model = product(TURN, scope=scope)
    label(model, OWNERS)
    assert list(labelled(model)) == ["layer"]


def test_calls_of_one_layer_share_the_transposed_weight() -> None:
    model = product(TURN)
    first = next(node for node in model.graph if node.op_type == "MatMul")
    turned = onnx_ir.node("Transpose", [model.graph.initializers["layer.weight"]], TURN[1])
    second = onnx_ir.node("MatMul", [model.graph.inputs[0], turned.outputs[0]])
    second.metadata_props.update(first.metadata_props)
    model.graph.extend([turned, second])
    label(model, OWNERS)
    one, two = labelled(model)["layer"]
    assert one.inputs[1] is two.inputs[1]


def test_tied_weights_are_told_apart_by_the_module_that_ran() -> None:
    model = product(TURN, scope="head")
    label(model, {"layer.weight": ("layer", "head")})
    assert list(labelled(model)) == ["head"]


@pytest.mark.parametrize(
    "model",
    [product(TURN, scope="other"), product(("Relu", {}), TURN), product(TURN, ("Exp", {}))],
    ids=["another module", "changed before", "changed after"],
)
def test_what_is_not_a_call_of_the_layer_has_no_label(model: onnx_ir.Model) -> None:
    label(model, OWNERS)
    assert not any(LAYER in node.metadata_props for node in model.graph)
