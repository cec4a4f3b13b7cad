"""Layers: operators that have a weight, with what `passes/follow.py` let them take over."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir

from lamella import formats
from lamella.errors import LoweringError
from lamella.frontend.model import ActivationGrid, Compressed
from lamella.graph.passes.dequantize import WEIGHT_AT, is_transposed
from lamella.graph.passes.label import LAYER
from lamella.grids import Grid, Quantized
from lamella.runtime import layers
from lamella.targets.native.arrays import CHANNELS_LAST, Array
from lamella.targets.native.emitter import Emitter, Rule
from lamella.targets.native.passes.follow import Following, handed_on, static_grid
from lamella.targets.native.program import Axis, Value
from lamella.targets.native.rules import shapes
from lamella.targets.native.rules.images import Walk, channels_last, image, walk_of
from lamella.targets.native.rules.shapes import attribute
from lamella.targets.native.sizes import product

Floats = npt.NDArray[np.float32]

# The numbers of kernels/math/activations.inc.
_ACTIVATIONS = ("none", "relu", "gelu", "silu", "gelu_tanh", "sigmoid", "hard_swish")
_PIXEL = Walk((1, 1))


def _layer(emitter: Emitter, node: onnx_ir.Node) -> None:
    following = emitter.layers.get(node)
    if following is None:
        if node.op_type == "Gather":
            shapes.RULES["Gather"](emitter, node)
            return
        raise LoweringError("its second operand is no constant, and the engine has no such product")
    _write = {
        "table": _table,
        "codes": _codes,
        "floats": _floats,
        "images": _images,
        "static": _static,
    }[following.form]
    _write(emitter, node, following)
    if LAYER in node.metadata_props:
        layer_id = node.metadata_props[LAYER]
        emitter.operators[layer_id] = emitter.program.calls[-1].operation


def _constant(emitter: Emitter, node: onnx_ir.Node, array: npt.NDArray[Any] | None) -> Value | None:
    """Stores a part of a layer, and counts its bytes."""
    if array is None:
        return None
    layer_id = node.metadata_props.get(LAYER, "")
    emitter.nbytes[layer_id] = emitter.nbytes.get(layer_id, 0) + array.nbytes
    return emitter.program.constant(array)


def _bias(following: Following) -> Floats | None:
    shift = following.shift
    return None if shift is None or not shift.any() else shift.astype(np.float32)


def _packed(emitter: Emitter, node: onnx_ir.Node) -> Compressed:
    return emitter.model.packed.get(node.metadata_props.get(LAYER, ""), Compressed("f32"))


def _weight(emitter: Emitter, node: onnx_ir.Node) -> Quantized:
    """Returns the codes of a layer."""
    found = _packed(emitter, node).weight
    if found is None:
        raise LoweringError("it has no codes; compress the model again")
    return found


def _values(emitter: Emitter, node: onnx_ir.Node, factor: Any = None) -> Floats:
    """Returns the (rows, cols) float weight of a layer."""
    array = emitter.constant(node, WEIGHT_AT[node.op_type])
    matrix = array.T if node.op_type != "Conv" and is_transposed(node) else array
    matrix = matrix.reshape(len(matrix), -1)
    if factor is not None:
        matrix = matrix * factor[:, None]
    return np.ascontiguousarray(matrix, np.float32)


def _half(emitter: Emitter, node: onnx_ir.Node, values: Floats) -> npt.NDArray[Any]:
    """Returns values as they are stored: float16 where the format says so."""
    if formats.parse(_packed(emitter, node).format).bits != 16:
        return values
    stored = values.astype(np.float16)
    if not np.array_equal(stored, values):
        raise LoweringError("a weight of format f16 is not a float16; compress the model again")
    return stored


def _table(emitter: Emitter, node: onnx_ir.Node, _: Following) -> None:
    """Looks up rows; ids that repeat are looked up once."""
    ids = emitter.raw(node.inputs[1])
    id = emitter.arrays.ordered(ids, range(len(ids.axes)))
    if id.dtype not in ("int32", "int64"):
        raise LoweringError(f"ids of {id.dtype}")
    weight = _packed(emitter, node).weight
    if weight is None:
        values = _values(emitter, node)
        cols = values.shape[1]
        table = _constant(emitter, node, _half(emitter, node, values))
        value = emitter.program.call("embed", (table, id), (*id.axes, cols))
    else:
        packed = layers.pack_linear(weight)
        cols = packed.cols
        parts = [_constant(emitter, node, a) for a in (packed.codes, packed.scale, packed.zero)]
        integers = (packed.rows, packed.cols, packed.bits, packed.group)
        value = emitter.program.call(
            "embed_codes", (*parts, id), (*id.axes, cols), integers=integers
        )
    axes = (*ids.axes, Axis(add=cols))
    emitter.set(node, Array(value, axes, tuple(range(len(axes)))))


def _finish(emitter: Emitter, node: onnx_ir.Node, array: Array, following: Following) -> None:
    """Applies an activation that the kernel of a layer does not have."""
    if following.activation != "none":
        array = emitter.arrays.unary(following.activation, array)
    emitter.set(node, array)


def _codes(emitter: Emitter, node: onnx_ir.Node, following: Following) -> None:
    x = emitter.arrays.stored(emitter.array(node.inputs[0]))
    packed = layers.pack_linear(_weight(emitter, node))
    parts = [_constant(emitter, node, a) for a in (packed.codes, packed.scale, packed.zero)]
    bias = _constant(emitter, node, _bias(following))
    value = emitter.program.call(
        "linear_a8",
        (x, *parts, bias),
        (*x.axes[:-1], packed.rows),
        integers=(packed.bits, packed.group),
    )
    _finish(emitter, node, emitter.arrays.plain(value), following)


def _floats(emitter: Emitter, node: onnx_ir.Node, following: Following) -> None:
    x = emitter.arrays.stored(emitter.array(node.inputs[0]))
    values = _values(emitter, node)
    packed = layers.pack_float(_half(emitter, node, values))
    weight = _constant(emitter, node, packed)
    bias = _constant(emitter, node, _bias(following))
    value = emitter.program.call(
        "linear_float",
        (x, weight, bias),
        (*x.axes[:-1], len(values)),
        integers=(_ACTIVATIONS.index(following.activation),),
    )
    emitter.set(node, emitter.arrays.plain(value))


def _walk(emitter: Emitter, node: onnx_ir.Node) -> tuple[Walk, int]:
    """Returns how a convolution moves, and its groups."""
    shape = emitter.constant(node, 1).shape
    return walk_of(node, shape[2:]), int(attribute(node, "group", 1))


def _images(emitter: Emitter, node: onnx_ir.Node, following: Following) -> None:
    walk, groups = _walk(emitter, node)
    x = emitter.arrays.stored(emitter.array(node.inputs[0]), CHANNELS_LAST)
    values = _values(emitter, node, following.factor)
    packed = layers.pack_convolution(values, walk.kernel, groups)
    deep = isinstance(packed, np.ndarray)
    weight = _constant(emitter, node, packed if isinstance(packed, np.ndarray) else packed.values)
    axes = image(x.axes, walk, Axis(add=len(values)))
    value = emitter.program.call(
        "depthwise_f32" if deep else "conv2d_f32",
        (x, weight, _constant(emitter, node, _bias(following))),
        axes,
        integers=walk.integers if deep else (groups, *walk.integers),
        numbers=(following.low, following.high),
    )
    emitter.set(node, Array(value, channels_last(axes), CHANNELS_LAST))


def _static(emitter: Emitter, node: onnx_ir.Node, following: Following) -> None:
    grid = following.grid
    if grid is None:
        raise LoweringError("it needs the grid of its input; calibrate with ranges, compress again")
    output = handed_on(node.outputs[0], emitter.layers) if emitter.fused else None
    x = emitter.arrays.codes(emitter.raw(node.inputs[0]), grid)
    residual = None
    if following.residual is not None:
        residual = _residual(emitter, following.residual)
    walk, groups = _walk(emitter, node) if node.op_type == "Conv" else (_PIXEL, 1)
    weight = _weight(emitter, node)
    if following.factor is not None:
        scale = (weight.grid.scale * following.factor[:, None]).astype(np.float32)
        weight = replace(weight, grid=Grid(scale, weight.grid.zero))
    ending = _ending(following, output, residual)
    packed = layers.pack_static(weight, (grid.scale, grid.zero), walk.kernel, groups, ending)
    if node.op_type == "Conv":
        order: tuple[int, ...] = CHANNELS_LAST
        source = emitter.arrays.stored(x, order)
    else:
        order = tuple(range(len(x.axes)))
        plain = emitter.arrays.stored(x)
        source = emitter.program.view(plain, _pixels(plain))
    rows = Axis(add=packed.weight.rows)
    axes = image(source.axes, walk, rows)
    added = None
    if residual is not None:
        added = emitter.arrays.stored(residual, order)
        added = added if node.op_type == "Conv" else emitter.program.view(added, axes)
    value = _call_static(emitter, node, packed, (source, added, walk, axes, output))
    if node.op_type == "Conv":
        emitter.set(node, Array(value, channels_last(axes), order, output))
        return
    seen = (*x.axes[:-1], rows)
    emitter.set(node, Array(emitter.program.view(value, seen), seen, order, output))


def _pixels(value: Value) -> tuple[Axis, ...]:
    """Returns the sizes of vectors as images of one pixel."""
    one = Axis(add=1)
    return (product(value.axes[:-1]), one, one, value.axes[-1])


def _residual(emitter: Emitter, value: onnx_ir.Value) -> Array:
    """Returns the codes of what a layer adds, on the grid on which other layers read it."""
    grid = static_grid(value, emitter.layers)
    assert grid is not None
    return emitter.arrays.codes(emitter.raw(value), grid)


def _ending(
    following: Following, output: ActivationGrid | None, residual: Array | None
) -> layers.Ending:
    """Returns what follows the sums; bounds are codes where the output is."""
    low, high = (None if math.isinf(bound) else bound for bound in (following.low, following.high))
    if output is not None:
        low, high = (
            None if bound is None else float(_code(bound, output)) for bound in (low, high)
        )
    added = residual.grid if residual is not None else None
    return layers.Ending(
        bias=_bias(following),
        output=None if output is None else (output.scale, output.zero),
        residual=None if added is None else (added.scale, added.zero),
        low=low,
        high=high,
        activation=following.activation,
    )


def _code(bound: float, grid: ActivationGrid) -> int:
    """Returns the code of a number."""
    steps = np.rint(np.float32(bound) / np.float32(grid.scale)) + grid.zero
    return int(np.clip(steps, 0, 255))


def _call_static(
    emitter: Emitter,
    node: onnx_ir.Node,
    packed: layers.StaticLayer,
    given: tuple[Value, Value | None, Walk, tuple[Axis, ...], ActivationGrid | None],
) -> Value:
    source, residual, walk, axes, output = given
    weight = packed.weight
    parts = (weight.codes, packed.offset, weight.sum, packed.step, packed.bias)
    operands = (source, *(_constant(emitter, node, part) for part in parts), residual)
    sizes: tuple[int, ...] = ()
    if not isinstance(packed, layers.DepthwiseLayer):
        sizes = (packed.weight.rows, packed.weight.groups, packed.weight.bits)
    return emitter.program.call(
        "conv2d_a8" if sizes else "depthwise_a8",
        operands,
        axes,
        integers=(*sizes, *walk.integers, *packed.integers),
        numbers=packed.numbers,
        dtype="float32" if output is None else "uint8",
    )


RULES: dict[str, Rule] = dict.fromkeys(("Conv", "MatMul", "Gemm", "Gather"), _layer)
