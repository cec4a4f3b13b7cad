"""Operators on every element, of one array or of two."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir

from lamella.errors import LoweringError
from lamella.targets.native.arrays import Array
from lamella.targets.native.emitter import Emitter, Known, Rule
from lamella.targets.native.passes.follow import bounds
from lamella.targets.native.program import axis
from lamella.targets.native.rules.shapes import attribute
from lamella.targets.native.sizes import plus, product, quotient

_UNARY = {
    "Exp": "exp",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Erf": "erf",
    "HardSwish": "hard_swish",
    "Silu": "silu",
    "Sqrt": "sqrt",
}
_BINARY = {
    "Add": "add",
    "Sub": "sub",
    "Mul": "mul",
    "Div": "div",
    "Min": "minimum",
    "Max": "maximum",
}


def number(emitter: Emitter, value: float) -> Array:
    """Returns a constant of one element."""
    return emitter.arrays.constant(np.float32(value).reshape(1))


def clipped(emitter: Emitter, array: Array, low: float, high: float) -> Array:
    """Returns an array whose elements are kept between two numbers."""
    if low == 0 and high in (6, math.inf):
        return emitter.arrays.unary("relu6" if high == 6 else "relu", array)
    if low != -math.inf:
        array = emitter.arrays.binary("maximum", array, number(emitter, low))
    if high != math.inf:
        array = emitter.arrays.binary("minimum", array, number(emitter, high))
    return array


def _unary(emitter: Emitter, node: onnx_ir.Node) -> None:
    emitter.set(node, emitter.arrays.unary(_UNARY[node.op_type], emitter.array(node.inputs[0])))


def _gelu(emitter: Emitter, node: onnx_ir.Node) -> None:
    name = "gelu" if attribute(node, "approximate", "none") == "none" else "gelu_tanh"
    emitter.set(node, emitter.arrays.unary(name, emitter.array(node.inputs[0])))


def _clip(emitter: Emitter, node: onnx_ir.Node) -> None:
    limits = bounds(node)
    if limits is None:
        raise LoweringError("its bounds must be constants")
    emitter.set(node, clipped(emitter, emitter.array(node.inputs[0]), *limits))


def _binary(emitter: Emitter, node: onnx_ir.Node) -> None:
    known = [emitter.known(value) for value in node.inputs]
    if all(part is not None for part in known) and node.op_type in _SIZES:
        emitter.know(node, _on_sizes(node.op_type, *known))
        return
    arrays = [emitter.array(value) for value in node.inputs]
    if any(array.value.dtype != "float32" for array in arrays):
        raise LoweringError(f"it computes with {arrays[0].value.dtype}, the engine with float32")
    result = arrays[0]
    for other in arrays[1:]:
        result = emitter.arrays.binary(_BINARY[node.op_type], result, other)
    emitter.set(node, result)


def _pow(emitter: Emitter, node: onnx_ir.Node) -> None:
    array, power = emitter.array(node.inputs[0]), emitter.constant(node, 1)
    if power.size == 1 and float(power.reshape(-1)[0]) == 2:
        emitter.set(node, emitter.arrays.binary("mul", array, array))
    elif power.size == 1 and float(power.reshape(-1)[0]) == 0.5:
        emitter.set(node, emitter.arrays.unary("sqrt", array))
    else:
        raise LoweringError("the engine has no powers but 2 and 0.5")


def _negate(emitter: Emitter, node: onnx_ir.Node) -> None:
    array = emitter.array(node.inputs[0])
    emitter.set(node, emitter.arrays.binary("mul", array, number(emitter, -1)))


def _reciprocal(emitter: Emitter, node: onnx_ir.Node) -> None:
    array = emitter.array(node.inputs[0])
    emitter.set(node, emitter.arrays.binary("div", number(emitter, 1), array))


def _on_sizes(operator: str, *sizes: Any) -> Known:
    """Computes with lists of sizes."""
    function = np.frompyfunc(_SIZES[operator], 2, 1)
    found = np.asarray(function(*sizes), object)
    return found


def _size(value: Any) -> Any:
    """Returns a number where a size is one."""
    return value if value.symbols else value.add


_SIZES: dict[str, Callable[[Any, Any], Any]] = {
    "Add": lambda a, b: _size(plus(axis(a), axis(b))),
    "Mul": lambda a, b: _size(product((axis(a), axis(b)))),
    "Div": lambda a, b: _size(quotient(axis(a), axis(b))),
}

RULES: dict[str, Rule] = {
    **dict.fromkeys(_UNARY, _unary),
    **dict.fromkeys(_BINARY, _binary),
    "Gelu": _gelu,
    "Relu": _clip,
    "Clip": _clip,
    "Pow": _pow,
    "Neg": _negate,
    "Reciprocal": _reciprocal,
}
