"""Mirrors sdk/lamella/graph/passes/fuse_pad.py."""

from __future__ import annotations

import numpy as np
import onnx_ir
import pytest

from lamella.graph.evaluate import run
from lamella.graph.passes.builder import Builder
from lamella.graph.passes.fuse_pad import fuse_pads

IMAGE = np.random.default_rng(0).standard_normal((1, 2, 6, 5)).astype(np.float32)


def padded(
    pads: list[int], value: float | None = None, *, readers: tuple[str, ...] = ("Conv",)
) -> onnx_ir.Model:
    """x -> Pad -> each of `readers`, whose results are the outputs."""
    kind = onnx_ir.TensorType(onnx_ir.DataType.FLOAT)
    x = onnx_ir.Value(name="x", shape=onnx_ir.Shape(IMAGE.shape), type=kind)
    graph = onnx_ir.Graph([x], [], nodes=[], opset_imports={"": 21}, name="g")
    model = onnx_ir.Model(graph, ir_version=10)
    builder = Builder(model)
    extra = () if value is None else (builder.constant(np.float32(value)),)
    wide = builder.add("Pad", x, builder.constant(np.array(pads, np.int64)), *extra)
    channels = 2 + pads[1] + pads[5]
    weight = np.random.default_rng(1).standard_normal((3, channels, 3, 3)).astype(np.float32)
    for index, reader in enumerate(readers):
        if reader == "Conv":
            y = builder.add("Conv", wide, builder.constant(weight), pads=(1, 0, 0, 2))
        else:
            y = builder.add(reader, wide)
        y.name, y.type = f"y{index}", kind
        graph.outputs.append(y)
    return model


FUSED = [
    ([0, 0, 0, 0, 0, 0, 1, 1], None),
    ([0, 0, 2, 1, 0, 0, 0, 3], 0.0),
]
KEPT = [
    ([0, 0, 1, 1, 0, 0, 1, 1], 0.5),  # not zeros
    ([0, 1, 0, 0, 0, 0, 1, 1], None),  # channels too
    ([0, 0, 0, 0, 0, 0, -1, 0], None),  # cuts
]


@pytest.mark.parametrize(("pads", "value"), [*FUSED, *KEPT])
@pytest.mark.parametrize("readers", [("Conv",), ("Conv", "Conv"), ("Conv", "Relu")])
def test_no_number_changes(pads: list[int], value: float | None, readers) -> None:
    model = padded(pads, value, readers=readers)
    before = run(model, {"x": IMAGE}, optimise=False)
    fuse_pads(model)
    after = run(model, {"x": IMAGE}, optimise=False)
    for name, expected in before.items():
        np.testing.assert_allclose(after[name], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("pads", "value"), FUSED)
def test_padding_with_zeros_moves_into_the_convolution(pads, value: float | None) -> None:
    model = padded(pads, value)
    assert fuse_pads(model) == 1
    assert [node.op_type for node in model.graph] == ["Conv"]


@pytest.mark.parametrize(("pads", "value"), KEPT)
def test_other_padding_stays(pads: list[int], value: float | None) -> None:
    assert fuse_pads(padded(pads, value)) == 0


def test_padding_that_another_operator_reads_stays() -> None:
    assert fuse_pads(padded(FUSED[0][0], readers=("Conv", "Relu"))) == 0
