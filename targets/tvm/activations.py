"""Rounds activations in the ONNX graph as the int8 formats say, in floating point.

The first form of this target has no integer kernels: a layer with 8-bit activations reads values
on their 8-bit grid and computes with them in float32, which gives the simulated result.
"""

from __future__ import annotations

import numpy as np
import onnx_ir

from lamella.frontend.model import ActivationGrid
from lamella.graph.passes.builder import Builder

_TOP = np.float32(127)
# A token of zeros has no span; its codes are 0 whatever the scale, as long as it is not 0.
_SMALLEST = np.finfo(np.float32).tiny


def round_input(builder: Builder, node: onnx_ir.Node, grid: ActivationGrid | None) -> None:
    """Makes a labelled node read its input on a static grid, or per token if there is none."""
    source = node.inputs[0]
    assert source is not None
    rounded = _per_token(builder, source) if grid is None else _static(builder, source, grid)
    node.replace_input_with(0, rounded)


def _static(builder: Builder, value: onnx_ir.Value, grid: ActivationGrid) -> onnx_ir.Value:
    key = ("rounded", value, grid)
    if (built := builder.once(key)) is not None:
        return built
    scale = builder.constant(np.float32(grid.scale))
    zero = builder.constant(np.uint8(grid.zero))
    codes = builder.add("QuantizeLinear", value, scale, zero)
    return builder.keep(key, builder.add("DequantizeLinear", codes, scale, zero))


def _per_token(builder: Builder, value: onnx_ir.Value) -> onnx_ir.Value:
    """Returns scale * round(x / scale) with scale = max|x| / 127 over the last axis."""
    key = ("rounded per token", value)
    if (built := builder.once(key)) is not None:
        return built
    axis = builder.constant(np.array([-1], np.int64))
    peak = builder.add("ReduceMax", builder.add("Abs", value), axis, keepdims=1)
    step = builder.add("Div", peak, builder.constant(_TOP))
    scale = builder.add("Max", step, builder.constant(_SMALLEST))
    codes = builder.add("Round", builder.add("Div", value, scale))
    return builder.keep(key, builder.add("Mul", codes, scale))
