"""Weight-only layers on onnxruntime's block-quantised operators, which read packed weights.

Source: onnxruntime ContribOperators.md, MatMulNBits and GatherBlockQuantized. Both take blocks
along the columns, a power of two of at least 16; a short last block is stored without its padding
and padded when the model is loaded. Codes of a width that the operators lack are widened then too,
which leaves their values as they are.
"""

from __future__ import annotations

from functools import partial, reduce

import numpy as np
import onnx_ir

from lamella.graph.passes.builder import CONTRIB, Builder
from lamella.graph.passes.dequantize import (
    byte,
    fields,
    joined,
    reshape,
    shifted_left,
    stored_scale,
)
from lamella.graph.passes.label import LAYER
from lamella.graph.passes.packed import PLANES, Packed
from lamella.grids import Code


def matmul_nbits(
    builder: Builder, node: onnx_ir.Node, packed: Packed, bits: int, accuracy_level: int
) -> None:
    """Replaces a labelled MatMul or Gemm by MatMulNBits, and Add where the Gemm has a bias.

    `bits` is the width that the operator reads, at least that of the codes.
    """
    layer = node.metadata_props[LAYER]
    shape = (packed.rows, packed.groups, packed.group * bits // 8)
    result = builder.add(
        "MatMulNBits",
        node.inputs[0],
        reshape(builder, _blocks(builder, packed, bits), shape),
        stored_scale(builder, packed),
        *_zeros(builder, packed, bits),
        domain=CONTRIB,
        layer=layer,
        K=packed.cols,
        N=packed.rows,
        bits=bits,
        block_size=packed.group,
        accuracy_level=accuracy_level,
    )
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        result = builder.add("Add", result, node.inputs[2])
    builder.substitute(node, result)


def gather_blocks(builder: Builder, node: onnx_ir.Node, packed: Packed, bits: int) -> None:
    """Replaces a labelled Gather by GatherBlockQuantized, which unpacks the rows it reads."""
    result = builder.add(
        "GatherBlockQuantized",
        _blocks(builder, packed, bits),
        node.inputs[1],
        stored_scale(builder, packed),
        *_zeros(builder, packed, bits),
        domain=CONTRIB,
        layer=node.metadata_props[LAYER],
        bits=bits,
        block_size=packed.group,
        gather_axis=0,
        quantize_axis=1,
    )
    if packed.groups * packed.group > packed.cols:
        start, end, axis = (
            builder.constant(np.array([at], np.int64)) for at in (0, packed.cols, -1)
        )
        result = builder.add("Slice", result, start, end, axis)
    builder.substitute(node, result)


def _blocks(builder: Builder, packed: Packed, bits: int) -> onnx_ir.Value:
    """Returns the codes in whole blocks, (rows, groups * group * bits / 8)."""
    key = ("blocks", bits, packed.group, *(builder.constant(part) for part in packed.planes))
    built = builder.once(key)
    if built is not None:
        return built
    codes = _widened(builder, packed.planes, packed.bits, packed.cols, bits)
    missing = packed.groups * packed.group * bits // 8 - -(-packed.cols * bits // 8)
    if missing:
        codes = builder.add("Pad", codes, builder.constant(np.array([0, 0, 0, missing], np.int64)))
    return builder.keep(key, codes)


def _widened(
    builder: Builder, planes: tuple[Code, ...], stored: int, cols: int, bits: int
) -> onnx_ir.Value:
    """Returns codes as one plane of a width, (rows, ceil(cols * bits / 8))."""
    if stored == bits:
        (plane,) = planes
        return builder.constant(plane)
    if bits == 8:
        return joined(builder, planes, stored, cols)
    parts, shift = [], 0
    for plane, width in zip(planes, PLANES[stored], strict=True):
        # Two neighbours, side by side, are moved into the two halves of a byte.
        pairs = fields(builder, plane, 2 * width, -(-cols // 2))
        low = shifted_left(builder, pairs, shift)
        high = shifted_left(builder, pairs, shift + 4 - width)
        both = builder.add("BitwiseOr", low, high)
        mask = ((1 << width) - 1) * 0x11 << shift
        parts.append(builder.add("BitwiseAnd", both, byte(builder, mask)))
        shift += width
    return reduce(partial(builder.add, "BitwiseOr"), parts)


def _zeros(builder: Builder, packed: Packed, bits: int) -> tuple[onnx_ir.Value, ...]:
    """Returns the zero points as the operators take them; none where theirs is the right one."""
    if packed.zeros:
        return (_widened(builder, packed.zeros, packed.bits, packed.groups, bits),)
    if packed.bits == bits:
        return ()
    middle = 1 << (packed.bits - 1)
    value = np.array([middle if bits == 8 else middle * 0x11], np.uint8)
    shape = np.array([packed.rows, -(-packed.groups * bits // 8)], np.int64)
    filled = onnx_ir.Tensor(value)
    return (builder.add("ConstantOfShape", builder.constant(shape), value=filled),)
