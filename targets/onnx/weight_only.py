"""Weight-only layers on onnxruntime's block-quantised operators, which read packed weights.

Source: onnxruntime ContribOperators.md, MatMulNBits and GatherBlockQuantized. Both take blocks
along the columns, a power of two of at least 16; a short last block is stored without its padding
and padded when the model is loaded.
"""

from __future__ import annotations

import numpy as np
import onnx_ir

from lamella.graph.passes.builder import CONTRIB, Builder
from lamella.graph.passes.dequantize import reshape, stored_scale
from lamella.graph.passes.label import LAYER
from lamella.graph.passes.packed import Packed


def matmul_nbits(builder: Builder, node: onnx_ir.Node, packed: Packed, accuracy_level: int) -> None:
    """Replaces a labelled MatMul or Gemm by MatMulNBits, and Add where the Gemm has a bias."""
    layer = node.metadata_props[LAYER]
    blob = packed.group * packed.bits // 8
    blocks = reshape(builder, _whole_blocks(builder, packed), (packed.rows, packed.groups, blob))
    result = builder.add(
        "MatMulNBits",
        node.inputs[0],
        blocks,
        stored_scale(builder, packed),
        *_zeros(builder, packed),
        domain=CONTRIB,
        layer=layer,
        K=packed.cols,
        N=packed.rows,
        bits=packed.bits,
        block_size=packed.group,
        accuracy_level=accuracy_level,
    )
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        result = builder.add("Add", result, node.inputs[2])
    builder.substitute(node, result)


def gather_blocks(builder: Builder, node: onnx_ir.Node, packed: Packed) -> None:
    """Replaces a labelled Gather by GatherBlockQuantized, which unpacks the rows it reads."""
    result = builder.add(
        "GatherBlockQuantized",
        _whole_blocks(builder, packed),
        node.inputs[1],
        stored_scale(builder, packed),
        *_zeros(builder, packed),
        domain=CONTRIB,
        layer=node.metadata_props[LAYER],
        bits=packed.bits,
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


def _whole_blocks(builder: Builder, packed: Packed) -> onnx_ir.Value:
    """Returns the one plane of codes, (rows, groups * group * bits / 8)."""
    (plane,) = packed.planes
    stored = builder.constant(plane)
    missing = packed.groups * packed.group * packed.bits // 8 - plane.shape[1]
    if not missing:
        return stored
    key = ("whole blocks", stored, missing)
    pads = builder.constant(np.array([0, 0, 0, missing], np.int64))
    return builder.once(key) or builder.keep(key, builder.add("Pad", stored, pads))


def _zeros(builder: Builder, packed: Packed) -> tuple[onnx_ir.Value, ...]:
    return tuple(builder.constant(plane) for plane in packed.zeros)
