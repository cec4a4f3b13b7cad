from __future__ import annotations

import numpy as np
import onnx_ir
import pytest

from lamella.errors import InputError, LoweringError
from lamella.graph.evaluate import open_session, run, serialise


def affine(rows: int = 2, operator: str = "MatMul") -> onnx_ir.Model:
    """Returns y = x @ W + b for x of shape (batch, 3)."""
    weight = np.arange(3 * rows, dtype=np.float32).reshape(3, rows)
    x = onnx_ir.val("x", onnx_ir.DataType.FLOAT, ["batch", 3])
    w = onnx_ir.Value(name="w", const_value=onnx_ir.Tensor(weight, name="w"))
    b = onnx_ir.Value(name="b", const_value=onnx_ir.Tensor(np.ones(rows, np.float32), name="b"))
    product = onnx_ir.node(operator, [x, w], name="multiply")
    total = onnx_ir.node("Add", [product.outputs[0], b], name="add")
    total.outputs[0].name = "y"
    total.outputs[0].type = onnx_ir.TensorType(onnx_ir.DataType.FLOAT)
    graph = onnx_ir.Graph(
        [x],
        [total.outputs[0]],
        nodes=[product, total],
        initializers=[w, b],
        opset_imports={"": 21},
        name="affine",
    )
    return onnx_ir.Model(graph, ir_version=10)


@pytest.mark.parametrize("optimise", [True, False])
def test_a_model_gives_what_numpy_gives(optimise: bool) -> None:
    x = np.array([[1, 2, 3], [-1, 0, 1]], np.float32)
    found = run(affine(), {"x": x}, optimise=optimise)
    assert list(found) == ["y"]
    np.testing.assert_array_equal(found["y"], x @ np.arange(6).reshape(3, 2) + 1)


def test_bytes_and_model_give_the_same() -> None:
    x = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(
        run(serialise(affine()), {"x": x})["y"], run(affine(), {"x": x})["y"]
    )


def test_feeds_that_the_model_does_not_read_are_ignored() -> None:
    x = np.ones((1, 3), np.float32)
    assert run(affine(), {"x": x, "mask": x})["y"].shape == (1, 2)


def test_a_missing_feed_is_named() -> None:
    with pytest.raises(InputError, match=r"no value for the model's input x; given are: z"):
        run(affine(), {"z": np.ones((1, 3), np.float32)})


def test_a_feed_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(InputError, match="Expected: 3"):
        run(affine(), {"x": np.ones((1, 4), np.float32)})


def test_an_unknown_operator_is_refused() -> None:
    with pytest.raises(LoweringError, match="Sum3"):
        run(affine(operator="Sum3"), {"x": np.ones((1, 3), np.float32)})


def test_damaged_bytes_are_refused() -> None:
    with pytest.raises(LoweringError, match="onnxruntime refuses the model"):
        open_session(serialise(affine())[:-20])


def test_the_number_of_threads_is_taken_over() -> None:
    session = open_session(affine(), threads=1)
    assert session.get_session_options().intra_op_num_threads == 1


def test_weights_beyond_one_message_are_refused() -> None:
    model = affine()
    shape = onnx_ir.Shape([2**20, 2**10])
    lazy = onnx_ir.LazyTensor(
        lambda: onnx_ir.Tensor(np.zeros((2**20, 2**10), np.float32)),
        dtype=onnx_ir.DataType.FLOAT,
        shape=shape,
    )
    model.graph.initializers["w"].const_value = lazy
    with pytest.raises(LoweringError, match=r"4\.0 GiB of weights"):
        serialise(model)
