"""Operators along an axis: norms, softmax, sums and averages."""

from __future__ import annotations

import numpy as np
import onnx_ir

from lamella.errors import LoweringError
from lamella.targets.native.arrays import CHANNELS_LAST, Array
from lamella.targets.native.emitter import Emitter, Rule
from lamella.targets.native.program import Axis
from lamella.targets.native.rules.elementwise import number
from lamella.targets.native.rules.images import WHOLE, pooled
from lamella.targets.native.rules.shapes import attribute, dropped, numbers
from lamella.targets.native.sizes import product


def _last(emitter: Emitter, node: onnx_ir.Node, otherwise: int = -1) -> Array:
    """Returns the first input with its last axis stored last; nothing else may be asked for."""
    array = emitter.array(node.inputs[0])
    rank = len(array.axes)
    if attribute(node, "axis", otherwise) % rank != rank - 1:
        raise LoweringError("the engine does it along the last axis only")
    return emitter.arrays.plain(emitter.arrays.stored(array))


def _softmax(emitter: Emitter, node: onnx_ir.Node) -> None:
    array = _last(emitter, node)
    value = emitter.program.call("softmax", (array.value,), array.axes)
    emitter.set(node, emitter.arrays.plain(value))


def _layer_norm(emitter: Emitter, node: onnx_ir.Node) -> None:
    array = _last(emitter, node)
    weight = emitter.constant(node, 1)
    given = len(node.inputs) > 2 and node.inputs[2] is not None
    bias = emitter.constant(node, 2) if given else np.zeros_like(weight)
    operands = (array.value, emitter.program.constant(weight), emitter.program.constant(bias))
    eps = (attribute(node, "epsilon", 1e-5),)
    value = emitter.program.call("layernorm", operands, array.axes, numbers=eps)
    emitter.set(node, emitter.arrays.plain(value))


def _rms_norm(emitter: Emitter, node: onnx_ir.Node) -> None:
    array = _last(emitter, node)
    operands = (array.value, emitter.program.constant(emitter.constant(node, 1)))
    eps = (attribute(node, "epsilon", 1e-5),)
    value = emitter.program.call("rmsnorm", operands, array.axes, numbers=eps)
    emitter.set(node, emitter.arrays.plain(value))


def _places(emitter: Emitter, node: onnx_ir.Node, rank: int) -> list[int]:
    """Returns the axes that a reduction takes, by default all."""
    given = len(node.inputs) > 1 and node.inputs[1] is not None
    found = numbers(emitter, node, 1) if given else []
    if not found and attribute(node, "noop_with_empty_axes", 0):
        raise LoweringError("it reduces no axis")
    return sorted(at % rank for at in found) or list(range(rank))


def _reduce(emitter: Emitter, node: onnx_ir.Node) -> None:
    array = emitter.array(node.inputs[0])
    gone = _places(emitter, node, len(array.axes))
    if node.op_type == "ReduceMean" and gone == [2, 3] and len(array.axes) == 4:
        result = pooled(emitter, array, 0, WHOLE)
    else:
        result = _totals(emitter, node.op_type, array, gone)
    if attribute(node, "keepdims", 1):
        emitter.set(node, result)
    else:
        dropped(emitter, node, result, set(gone))


def _totals(emitter: Emitter, operator: str, array: Array, gone: list[int]) -> Array:
    """Adds up the elements of some axes, or their squares."""
    count = product(array.axes[at] for at in gone)
    if operator == "ReduceMean" and count.symbols:
        raise LoweringError("it averages over an axis whose size is known only at run time")
    if operator == "ReduceL2":
        array = emitter.arrays.binary("mul", array, array)
    for at in gone:
        array = summed(emitter, array, at)
    if operator == "ReduceMean":
        return emitter.arrays.binary("div", array, number(emitter, count.add))
    return emitter.arrays.unary("sqrt", array) if operator == "ReduceL2" else array


def summed(emitter: Emitter, array: Array, at: int) -> Array:
    """Adds up the elements along an axis, whose size becomes 1."""
    value, one = emitter.arrays.stored(array, array.order), Axis(add=1)
    place = array.order.index(at)
    axes = [one if i == place else size for i, size in enumerate(value.axes)]
    total = emitter.program.call("sum", (value,), axes, integers=(place,))
    left = tuple(one if i == at else size for i, size in enumerate(array.axes))
    return Array(total, left, array.order)


def _batch_norm(emitter: Emitter, node: onnx_ir.Node) -> None:
    """Multiplies and adds a constant for each channel, where no layer could take that over."""
    array = emitter.array(node.inputs[0])
    gain, bias, mean, variance = (emitter.constant(node, i).astype(np.float64) for i in range(1, 5))
    factor = gain / np.sqrt(variance + attribute(node, "epsilon", 1e-5))
    shape = (-1, *(1 for _ in array.axes[2:]))
    for operation, numbers_of in (("mul", factor), ("add", bias - mean * factor)):
        constant = emitter.arrays.constant(numbers_of.astype(np.float32).reshape(shape))
        array = emitter.arrays.binary(operation, array, constant)
    emitter.set(node, array)


def _global_average(emitter: Emitter, node: onnx_ir.Node) -> None:
    array = emitter.array(node.inputs[0])
    if len(array.axes) != len(CHANNELS_LAST):
        raise LoweringError("the engine pools images of two axes only")
    emitter.set(node, pooled(emitter, array, 0, WHOLE))


RULES: dict[str, Rule] = {
    "Softmax": _softmax,
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _rms_norm,
    "BatchNormalization": _batch_norm,
    "GlobalAveragePool": _global_average,
    **dict.fromkeys(("ReduceSum", "ReduceMean", "ReduceL2"), _reduce),
}
