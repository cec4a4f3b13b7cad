"""Mirrors sdk/lamella/graph/passes/redundant_clip.py."""

from __future__ import annotations

import numpy as np
import onnx_ir
import pytest

from lamella.graph.evaluate import run
from lamella.graph.passes.builder import Builder
from lamella.graph.passes.redundant_clip import remove_redundant_clips


def clipped(
    operator: str, bounds: tuple[float, ...], scale: float, zero: int, *, shown: bool = False
) -> onnx_ir.Model:
    """x -> Relu or Clip -> rounding to uint8; `shown` makes the clipped value an output too."""
    kind = onnx_ir.TensorType(onnx_ir.DataType.FLOAT)
    x = onnx_ir.Value(name="x", shape=onnx_ir.Shape([None]), type=kind)
    graph = onnx_ir.Graph([x], [], nodes=[], opset_imports={"": 21}, name="g")
    model = onnx_ir.Model(graph, ir_version=10)
    builder = Builder(model)
    limits = [builder.constant(np.float32(bound)) for bound in bounds]
    inner = builder.add(operator, x, *limits)
    grid = builder.constant(np.float32(scale)), builder.constant(np.uint8(zero))
    y = builder.add("DequantizeLinear", builder.add("QuantizeLinear", inner, *grid), *grid)
    y.name, y.type = "y", kind
    graph.outputs.append(y)
    if shown:
        inner.name, inner.type = "inner", kind
        graph.outputs.append(inner)
    return model


REMOVED = [
    ("Relu", (), 0.05, 0),
    ("Clip", (0, 6), 6 / 255, 0),  # 255 steps are a little more than 6 in float32
    ("Clip", (0, 6), 0.02, 0),
    ("Clip", (-1, 1), 1 / 128, 127),
]
KEPT = [("Relu", (), 0.05, 3), ("Clip", (0, 6), 0.03, 0), ("Clip", (-0.5, 6), 0.02, 128)]


@pytest.mark.parametrize(("operator", "bounds", "scale", "zero"), [*REMOVED, *KEPT])
def test_removal_changes_no_number(operator: str, bounds, scale: float, zero: int) -> None:
    model = clipped(operator, bounds, scale, zero)
    x = np.linspace(-9, 9, 4001, dtype=np.float32)
    before = run(model, {"x": x}, optimise=False)["y"]
    remove_redundant_clips(model)
    np.testing.assert_array_equal(run(model, {"x": x}, optimise=False)["y"], before)


@pytest.mark.parametrize(("operator", "bounds", "scale", "zero"), REMOVED)
def test_a_clip_that_the_grid_implies_goes(operator: str, bounds, scale: float, zero: int) -> None:
    assert remove_redundant_clips(clipped(operator, bounds, scale, zero)) == 1


@pytest.mark.parametrize(("operator", "bounds", "scale", "zero"), KEPT)
def test_a_clip_inside_the_grid_stays(operator: str, bounds, scale: float, zero: int) -> None:
    assert remove_redundant_clips(clipped(operator, bounds, scale, zero)) == 0


def test_a_clip_that_someone_else_reads_stays() -> None:
    assert remove_redundant_clips(clipped("Relu", (), 0.05, 0, shown=True)) == 0
