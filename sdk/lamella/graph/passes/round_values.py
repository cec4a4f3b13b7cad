"""Rounds values of the graph as int8 formats say: on a fixed grid, or on one grid per token."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir

from lamella.graph.passes.builder import Builder

TOP = np.float32(127)

# A token of zeros has no span; its codes are 0 whatever the scale, as long as it is not 0.
SMALLEST = np.finfo(np.float32).tiny


@dataclass(frozen=True, slots=True)
class Tokens:
    """A tensor on its per-token grids: codes, and `scale` with a last axis of 1.

    `codes` are whole float32 numbers from -127 to 127.
    """

    codes: onnx_ir.Value
    scale: onnx_ir.Value


def rounded(builder: Builder, value: onnx_ir.Value, scale: float, zero: int) -> onnx_ir.Value:
    """Returns a value rounded to a uint8 grid; equal (value, grid) share their nodes."""
    key = ("rounded", value, scale, zero)
    if (built := builder.once(key)) is not None:
        return built
    step, offset = builder.constant(np.float32(scale)), builder.constant(np.uint8(zero))
    codes = builder.add("QuantizeLinear", value, step, offset)
    return builder.keep(key, builder.add("DequantizeLinear", codes, step, offset))


def quantized_tokens(builder: Builder, value: onnx_ir.Value) -> Tokens:
    """Returns a value on its per-token grids; layers that read the same value share them.

    For each token (the last axis) scale = max|x| / 127 and code = round(x / scale), ties to even.
    """
    keys = ("token codes", value), ("token scale", value)
    codes, scale = builder.once(keys[0]), builder.once(keys[1])
    if codes is None or scale is None:
        axis = builder.constant(np.array([-1], np.int64))
        peak = builder.add("ReduceMax", builder.add("Abs", value), axis, keepdims=1)
        step = builder.add("Div", peak, builder.constant(TOP))
        scale = builder.keep(keys[1], builder.add("Max", step, builder.constant(SMALLEST)))
        codes = builder.keep(keys[0], builder.add("Round", builder.add("Div", value, scale)))
    return Tokens(codes, scale)


def rounded_tokens(builder: Builder, value: onnx_ir.Value) -> onnx_ir.Value:
    """Returns a float value rounded to its per-token grids, for layers that compute in float."""
    key = ("rounded tokens", value)
    tokens = quantized_tokens(builder, value)
    return builder.once(key) or builder.keep(key, builder.add("Mul", tokens.codes, tokens.scale))
