"""Unpacks packed weights with standard operators, so that any ONNX back end can read them.

The subgraph reads constants only: onnxruntime evaluates it once when it loads the model, and a
compiler may keep it and unpack on the fly. Its result equals `Quantized.decode()` bit for bit:
codes and zero points are small integers, exact in float32, and there is one rounding, that of
the product with the scale.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir

from lamella.errors import LoweringError
from lamella.graph.passes.builder import Builder
from lamella.graph.passes.label import LAYER, labelled
from lamella.graph.passes.packed import PLANES, Packed, pack
from lamella.grids import Code, Quantized

# The operators that consume the weight of a layer, and at which input.
WEIGHT_AT = {"MatMul": 1, "Gemm": 1, "Conv": 1, "Gather": 0}


def dequantize(model: onnx_ir.Model, weights: Mapping[str, Quantized]) -> None:
    """Replaces the float weight of every given layer by its packed form and its unpacking.

    Args:
        model: as `graph.export.export_onnx` returns it; changed in place.
        weights: codes by layer id.

    Raises:
        LoweringError: a layer has no node in the graph.
    """
    builder = Builder(model)
    nodes = labelled(model)
    for layer, weight in weights.items():
        if layer not in nodes:
            raise LoweringError(f"layer {layer}: no node of the ONNX graph reads its weight")
        packed = pack(weight, layer)
        for node in nodes[layer]:
            set_weight(node, oriented(builder, node, unpacked(builder, packed)))
    builder.finish()


def set_weight(node: onnx_ir.Node, weight: onnx_ir.Value) -> None:
    """Makes a labelled node read another weight."""
    node.replace_input_with(WEIGHT_AT[node.op_type], weight)


def unpacked(builder: Builder, packed: Packed) -> onnx_ir.Value:
    """Returns the (rows, cols) float32 weight as a value of the graph."""
    parts = (*packed.planes, packed.scale, *packed.zeros)
    key = ("weight", packed.bits, packed.cols, *(builder.constant(part) for part in parts))
    built = builder.once(key)
    if built is not None:
        return built
    rows, cols, groups, group = packed.rows, packed.cols, packed.groups, packed.group
    codes = unpacked_codes(builder, packed)
    if groups * group > cols:
        pads = builder.constant(np.array([0, 0, 0, groups * group - cols], np.int64))
        codes = builder.add("Pad", codes, pads)
    real = as_float(builder, reshape(builder, codes, (rows, groups, group)))
    steps = builder.add("Sub", real, _zero(builder, packed))
    scale = reshape(builder, stored_scale(builder, packed), (rows, groups, 1))
    flat = reshape(builder, builder.add("Mul", steps, scale), (rows, groups * group))
    return builder.keep(key, _first(builder, flat, groups * group, cols))


def unpacked_codes(builder: Builder, packed: Packed) -> onnx_ir.Value:
    """Returns the (rows, cols) uint8 codes as a value of the graph."""
    return joined(builder, packed.planes, packed.bits, packed.cols)


def stored_scale(builder: Builder, packed: Packed) -> onnx_ir.Value:
    """Returns the (rows, groups) scales as float32, whatever type they are stored in."""
    constant = builder.constant(packed.scale)
    if packed.scale.dtype == np.float32:
        return constant
    key = ("scale", constant)
    return builder.once(key) or builder.keep(key, as_float(builder, constant))


def oriented(builder: Builder, node: onnx_ir.Node, weight: onnx_ir.Value) -> onnx_ir.Value:
    """Brings a (rows, cols) weight into the shape in which a labelled node reads it."""
    key: tuple[object, ...]
    if node.op_type == "Conv":
        shape = weight_shape(node)
        key = ("shaped", weight, shape)
        return builder.once(key) or builder.keep(key, reshape(builder, weight, shape))
    if is_transposed(node):
        key = ("transposed", weight)
        return builder.once(key) or builder.keep(key, builder.add("Transpose", weight, perm=(1, 0)))
    return weight


def weight_shape(node: onnx_ir.Node) -> tuple[int, ...]:
    """Returns the shape in which a labelled node reads its weight."""
    weight = node.inputs[WEIGHT_AT[node.op_type]]
    if weight is None or weight.shape is None:
        raise LoweringError(
            f"layer {node.metadata_props[LAYER]}: its weight has no known shape in the ONNX graph"
        )
    return tuple(int(size) for size in weight.shape.numpy())


def is_transposed(node: onnx_ir.Node) -> bool:
    """Whether a labelled node reads its weight as (cols, rows)."""
    if node.op_type == "Gemm":
        trans = node.attributes.get("transB")
        return trans is None or trans.as_int() == 0
    return node.op_type == "MatMul"


def reshape(builder: Builder, value: onnx_ir.Value, shape: tuple[int, ...]) -> onnx_ir.Value:
    """Returns a value in another shape."""
    return builder.add("Reshape", value, builder.constant(np.array(shape, np.int64)))


def as_float(builder: Builder, value: onnx_ir.Value) -> onnx_ir.Value:
    """Returns a value as float32."""
    return builder.add("Cast", value, to=int(onnx_ir.DataType.FLOAT))


def joined(builder: Builder, parts: tuple[Code, ...], bits: int, cols: int) -> onnx_ir.Value:
    """Returns the (rows, cols) codes that the planes of a width stand for."""
    found = fields(builder, parts[0], PLANES[bits][0], cols)
    shift = PLANES[bits][0]
    for part, width in zip(parts[1:], PLANES[bits][1:], strict=True):
        moved = shifted_left(builder, fields(builder, part, width, cols), shift)
        found = builder.add("BitwiseOr", found, moved)
        shift += width
    return found


def fields(builder: Builder, part: Code, width: int, cols: int) -> onnx_ir.Value:
    """Returns the (rows, cols) fields of one plane."""
    rows, nbytes = part.shape
    if width == 8:
        return builder.constant(part)
    column = reshape(builder, builder.constant(part), (rows, nbytes, 1))
    shifts = builder.constant(np.arange(0, 8, width, dtype=np.uint8))
    shifted = builder.add("BitShift", column, shifts, direction="RIGHT")
    found = builder.add("BitwiseAnd", shifted, byte(builder, (1 << width) - 1))
    present = nbytes * 8 // width
    return _first(builder, reshape(builder, found, (rows, present)), present, cols)


def shifted_left(builder: Builder, value: onnx_ir.Value, bits: int) -> onnx_ir.Value:
    """Returns the bytes of a value shifted to the left; what leaves a byte is lost."""
    if not bits:
        return value
    return builder.add("BitShift", value, byte(builder, bits), direction="LEFT")


def _zero(builder: Builder, packed: Packed) -> onnx_ir.Value:
    """Returns the zero points, a scalar or (rows, groups, 1), as float32."""
    if not packed.zeros:
        return builder.constant(np.float32(1 << (packed.bits - 1)))
    codes = joined(builder, packed.zeros, packed.bits, packed.groups)
    return as_float(builder, reshape(builder, codes, (packed.rows, packed.groups, 1)))


def _first(builder: Builder, value: onnx_ir.Value, present: int, cols: int) -> onnx_ir.Value:
    """Returns the first `cols` of the `present` columns of a matrix."""
    if present == cols:
        return value
    start, end, axis = (builder.constant(np.array([at], np.int64)) for at in (0, cols, 1))
    return builder.add("Slice", value, start, end, axis)


def byte(builder: Builder, number: int) -> onnx_ir.Value:
    """Returns a constant of one byte."""
    return builder.constant(np.uint8(number))
