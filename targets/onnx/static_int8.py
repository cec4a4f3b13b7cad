"""Layers with int8 weights and inputs on a grid fixed by calibration.

A Gemm, and a Conv whose output is rounded for the next layers, get the QDQ form: onnxruntime fuses
DequantizeLinear -> Conv -> QuantizeLinear into QLinearConv, and DequantizeLinear -> Gemm into
QGemm. It asks for int8 weights with an explicit zero point, one scale per output channel, and an
int32 bias on the grid scale_x * scale_w.
A MatMul is written as MatMulIntegerToFloat, what that form would be fused into, because
onnxruntime first fuses MatMul and the Add of a bias into a float Gemm where shapes are fixed.

A Conv whose output anything else reads too hands on float numbers: integer sums, times
scale_x * scale_w, plus the float bias. Without a stride, padding and groups, one of kernel 1 is a
MatMulIntegerToFloat between transpositions to channels last and back; every other one is a
ConvInteger. Measured with onnxruntime 1.32 on one AVX-512 VNNI core, in milliseconds: 96 to 24
channels at 56x56, kernel 1: float Conv 0.21, MatMulIntegerToFloat 0.14, ConvInteger 0.17 with
uint8 weights and 0.59 with int8 ones, which it multiplies without SIMD; 64 to 64 channels at
56x56, kernel 3: float Conv 1.2, ConvInteger 1.7 and 11.8; depthwise, 144 channels at 56x56,
kernel 3: float Conv 0.42, ConvInteger 1.1 and 5.2. Hence uint8 weights with zero point 2^(bits-1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import onnx_ir

from lamella.errors import LoweringError
from lamella.frontend.model import ActivationGrid
from lamella.graph.passes.builder import CONTRIB, Builder
from lamella.graph.passes.dequantize import (
    as_float,
    is_transposed,
    reshape,
    unpacked_codes,
    weight_shape,
)
from lamella.graph.passes.label import LAYER
from lamella.graph.passes.packed import Packed, pack
from lamella.grids import Grid, Quantized

# The code of a bias that needs a coarser grid than its row has; int32 ends at 2^31.
_BIAS_CODE = 2.0**30
_INT32_TOP = 2.0**31 - 1


@dataclass(frozen=True, slots=True)
class _Operands:
    """What a layer with float output is computed from; `codes` are those of its input."""

    codes: onnx_ir.Value
    grid: ActivationGrid
    packed: Packed
    bias: onnx_ir.Value | None
    layer: str


def lower_static(
    builder: Builder, node: onnx_ir.Node, weight: Quantized, grid: ActivationGrid
) -> onnx_ir.Value:
    """Gives a labelled Conv, Gemm or MatMul its integer form; returns the 8-bit weight.

    Args:
        builder: of the graph.
        node: reads its input `rounded` to `grid`, and so do all static layers that read its output.
        weight: symmetric codes with one scale per row.
        grid: of the node's input.
    """
    layer, bias = node.metadata_props[LAYER], _bias(node)
    if node.op_type == "MatMul":
        return _lower_matmul(builder, node, pack(weight, layer), grid)
    if node.op_type == "Conv" and not _is_rounded(node.outputs[0]):
        return _lower_to_float(builder, node, pack(weight, layer), grid)
    packed = pack(weight if bias is None else with_bias_in_range(weight, grid.scale, bias), layer)
    scale, transposed = packed.scale[:, 0].copy(), is_transposed(node)
    shape = weight_shape(node) if node.op_type == "Conv" else (packed.rows, packed.cols)
    codes = signed_weight(builder, packed, shape, transposed=transposed)
    offset = _no_offset(builder, packed)
    real = builder.add(
        "DequantizeLinear", codes, builder.constant(scale), offset, axis=int(transposed)
    )
    node.replace_input_with(1, real)
    if bias is not None:
        step = (np.float32(grid.scale) * scale).astype(np.float32)
        stored = builder.constant(np.rint(bias / step.astype(np.float64)).astype(np.int32))
        added = builder.add("DequantizeLinear", stored, builder.constant(step), axis=0)
        node.replace_input_with(2, added)
    elif len(node.inputs) > 2:
        node.resize_inputs(2)
    return codes


def with_bias_in_range(
    weight: Quantized, input_scale: float, bias: npt.NDArray[np.float64]
) -> Quantized:
    """Gives rows whose bias does not fit the grid of their products a scale on which it fits.

    A channel that batch normalisation has silenced has weights near 0, or none, beside a bias of
    normal size. On the grid scale_x * scale_w such a bias exceeds int32, or, where an empty row
    has an arbitrary scale, falls between two far points. The new scale makes the bias the code
    2^30; the weights are rounded to it, which moves an output by at most |bias| * cols * 2^-23.

    Args:
        weight: symmetric codes with one scale per row.
        input_scale: step of the layer's input.
        bias: (rows,).
    """
    half = weight.format.levels // 2
    signed = weight.codes.astype(np.float64) - half
    scale = weight.grid.scale[:, 0].astype(np.float64)
    too_large = np.abs(bias) >= np.abs(scale) * input_scale * _INT32_TOP
    changed = (too_large | ~signed.any(axis=1)) & (bias != 0)
    if not changed.any():
        return weight
    fitting = np.maximum(np.abs(bias) / (input_scale * _BIAS_CODE), np.finfo(np.float32).tiny)
    new = np.where(changed, fitting, scale).astype(np.float32)
    ratio = np.where(changed, scale / new, 1.0)[:, None]
    codes = np.clip(np.rint(signed * ratio) + half, 0, weight.format.levels - 1).astype(np.uint8)
    return replace(weight, codes=codes, grid=Grid(new[:, None], weight.grid.zero))


def _lower_matmul(
    builder: Builder, node: onnx_ir.Node, packed: Packed, grid: ActivationGrid
) -> onnx_ir.Value:
    """Replaces a MatMul, and the Add of its bias, by MatMulIntegerToFloat."""
    adding = _bias_add(node)
    bias = None if adding is None else adding.bias
    operands = _Operands(_codes(node), grid, packed, bias, node.metadata_props[LAYER])
    weight, result = _product(builder, operands)
    if adding is not None:
        builder.substitute(adding.node, result)
        builder.graph.remove(node, safe=True)
    else:
        builder.substitute(node, result)
    return weight


def _lower_to_float(
    builder: Builder, node: onnx_ir.Node, packed: Packed, grid: ActivationGrid
) -> onnx_ir.Value:
    """Replaces a Conv by integer sums that are scaled to float."""
    bias = None if _bias(node) is None else node.inputs[2]
    operands = _Operands(_codes(node), grid, packed, bias, node.metadata_props[LAYER])
    if _is_product(node):
        weight, result = _pointwise(builder, operands, len(weight_shape(node)))
    else:
        weight, result = _convolution(builder, operands, node)
    builder.substitute(node, result)
    return weight


def _product(builder: Builder, operands: _Operands) -> tuple[onnx_ir.Value, onnx_ir.Value]:
    """Returns the int8 weight and, for (..., cols) codes, the (..., rows) float result."""
    packed, grid = operands.packed, operands.grid
    weight = signed_weight(builder, packed, (packed.rows, packed.cols), transposed=True)
    result = builder.add(
        "MatMulIntegerToFloat",
        operands.codes,
        weight,
        builder.constant(np.float32(grid.scale)),
        builder.constant(packed.scale[:, 0].copy()),
        builder.constant(np.uint8(grid.zero)),
        _no_offset(builder, packed),
        *(() if operands.bias is None else (operands.bias,)),
        domain=CONTRIB,
        layer=operands.layer,
    )
    return weight, result


def _pointwise(
    builder: Builder, operands: _Operands, rank: int
) -> tuple[onnx_ir.Value, onnx_ir.Value]:
    """Returns the int8 weight and the float result of a convolution that sees single places."""
    key, order = ("channels last", operands.codes), (0, *range(2, rank), 1)
    last = builder.once(key)
    if last is None:
        last = builder.keep(key, builder.add("Transpose", operands.codes, perm=order))
    weight, result = _product(builder, replace(operands, codes=last))
    return weight, builder.add("Transpose", result, perm=(0, rank - 1, *range(1, rank - 1)))


def _convolution(
    builder: Builder, operands: _Operands, node: onnx_ir.Node
) -> tuple[onnx_ir.Value, onnx_ir.Value]:
    """Returns the uint8 weight and the float result of any convolution."""
    packed, shape = operands.packed, weight_shape(node)
    weight = reshape(builder, unpacked_codes(builder, packed), shape)
    total = builder.add(
        "ConvInteger",
        operands.codes,
        weight,
        builder.constant(np.uint8(operands.grid.zero)),
        builder.constant(np.uint8(1 << (packed.bits - 1))),
        layer=operands.layer,
        **{name: attribute.value for name, attribute in node.attributes.items()},
    )
    channels = (1, packed.rows, *[1] * (len(shape) - 2))
    step = (np.float32(operands.grid.scale) * packed.scale[:, 0]).reshape(channels)
    result = builder.add("Mul", as_float(builder, total), builder.constant(step))
    if operands.bias is not None:
        result = builder.add("Add", result, reshape(builder, operands.bias, channels))
    return weight, result


def _is_product(node: onnx_ir.Node) -> bool:
    """Whether a Conv is a matrix product at every place on its own."""
    wanted = {"group": 1, "strides": 1, "pads": 0}
    given = {name: node.attributes[name].value for name in wanted if name in node.attributes}
    plain = all(bool(np.all(np.asarray(value) == wanted[name])) for name, value in given.items())
    return plain and all(size == 1 for size in weight_shape(node)[2:])


def _is_rounded(value: onnx_ir.Value) -> bool:
    """Whether one rounding, and nothing else, reads a value."""
    users = [use.node.op_type for use in value.uses()]
    return users == ["QuantizeLinear"] and not value.is_graph_output()


def _codes(node: onnx_ir.Node) -> onnx_ir.Value:
    """Returns the codes of the input of a node that reads it `rounded`."""
    source = node.inputs[0]
    rounding = None if source is None else source.producer()
    codes = None if rounding is None else rounding.inputs[0]
    assert codes is not None
    return codes


def signed_weight(
    builder: Builder, packed: Packed, shape: tuple[int, ...], *, transposed: bool
) -> onnx_ir.Value:
    """Returns the codes minus 2^(bits-1) as int8: stored so for 8 bits, else unpacked at load."""
    half = 1 << (packed.bits - 1)
    if packed.bits == 8:
        codes = (packed.planes[0].astype(np.int16) - half).astype(np.int8).reshape(shape)
        return builder.constant(codes.T if transposed else codes)
    steps = builder.add(
        "Sub",
        as_float(builder, unpacked_codes(builder, packed)),
        builder.constant(np.float32(half)),
    )
    codes_value = builder.add("Cast", steps, to=int(onnx_ir.DataType.INT8))
    shaped = reshape(builder, codes_value, shape)
    return builder.add("Transpose", shaped, perm=(1, 0)) if transposed else shaped


def _bias(node: onnx_ir.Node) -> npt.NDArray[np.float64] | None:
    """Returns the (rows,) bias of a Conv or Gemm, or None where there is none or it is all 0."""
    value = node.inputs[2] if len(node.inputs) > 2 else None
    if value is None:
        return None
    if value.const_value is None:
        raise LoweringError(f"layer {node.metadata_props[LAYER]}: its bias is not a constant")
    bias = np.asarray(value.const_value.numpy(), np.float64)
    return bias if bias.any() else None


@dataclass(frozen=True, slots=True)
class _BiasAdd:
    """The Add that follows a MatMul, and the constant, one number per row, that it adds."""

    node: onnx_ir.Node
    bias: onnx_ir.Value


def _bias_add(node: onnx_ir.Node) -> _BiasAdd | None:
    """Returns how the exporter wrote the bias of a MatMul, or None if it has none."""
    uses = tuple(node.outputs[0].uses())
    if len(uses) != 1 or uses[0].node.op_type != "Add" or node.outputs[0].is_graph_output():
        return None
    other = uses[0].node.inputs[1 - uses[0].idx]
    if other is None or other.const_value is None or len(other.const_value.shape) != 1:
        return None
    return _BiasAdd(uses[0].node, other)


def _no_offset(builder: Builder, packed: Packed) -> onnx_ir.Value:
    return builder.constant(np.zeros(packed.rows, np.int8))
