"""Computes values of a graph in numpy for chosen values of what they depend on.

It answers what a part of a graph does, whatever nodes it is written with: which positions a mask
hides, or which axes a chain of reshapes exchanges.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir

Numbers = npt.NDArray[Any]
Given = Mapping[onnx_ir.Value, Numbers]


def calculate(value: onnx_ir.Value, given: Given) -> Numbers | None:
    """Returns the value, or None where it depends on more, or on an operator not known here."""
    if value in given:
        return given[value]
    if value.const_value is not None:
        return value.const_value.numpy()
    node = value.producer()
    if node is None or node.op_type not in _OPERATORS or len(node.outputs) != 1:
        return None
    inputs = []
    for source in node.inputs:
        found = None if source is None else calculate(source, given)
        if source is not None and found is None:
            return None
        inputs.append(found)
    return np.asarray(_OPERATORS[node.op_type](node, *inputs))


def _attribute(node: onnx_ir.Node, name: str, otherwise: Any) -> Any:
    return node.attributes[name].value if name in node.attributes else otherwise


def _shape(node: onnx_ir.Node, x: Numbers) -> Numbers:
    start, end = _attribute(node, "start", 0), _attribute(node, "end", None)
    return np.array(x.shape[start:end], np.int64)


def _reshape(_: onnx_ir.Node, x: Numbers, shape: Numbers) -> Numbers:
    return x.reshape([int(size) for size in shape])


def _cast(node: onnx_ir.Node, x: Numbers) -> Numbers:
    return x.astype(onnx_ir.DataType(_attribute(node, "to", 1)).numpy())


def _slice(
    _: onnx_ir.Node,
    x: Numbers,
    starts: Numbers,
    ends: Numbers,
    axes: Numbers | None = None,
    steps: Numbers | None = None,
) -> Numbers:
    cuts = [slice(None)] * x.ndim
    for place, axis in enumerate(range(len(starts)) if axes is None else axes):
        step = 1 if steps is None else int(steps[place])
        cuts[int(axis)] = slice(int(starts[place]), int(ends[place]), step)
    return x[tuple(cuts)]


def _unsqueeze(_: onnx_ir.Node, x: Numbers, axes: Numbers) -> Numbers:
    return np.expand_dims(x, tuple(int(axis) for axis in axes))


def _squeeze(_: onnx_ir.Node, x: Numbers, axes: Numbers | None = None) -> Numbers:
    return np.squeeze(x, None if axes is None else tuple(int(axis) for axis in axes))


def _expand(_: onnx_ir.Node, x: Numbers, shape: Numbers) -> Numbers:
    return x * np.ones([int(size) for size in shape], x.dtype)


_OPERATORS: dict[str, Callable[..., Any]] = {
    "Identity": lambda _, x: x,
    "Shape": _shape,
    "Reshape": _reshape,
    "Cast": _cast,
    "Slice": _slice,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Expand": _expand,
    "Concat": lambda node, *xs: np.concatenate(xs, _attribute(node, "axis", 0)),
    "Gather": lambda node, x, at: np.take(x, at, _attribute(node, "axis", 0)),
    "Transpose": lambda node, x: x.transpose(_attribute(node, "perm", None)),
    "Add": lambda _, a, b: a + b,
    "Sub": lambda _, a, b: a - b,
    "Mul": lambda _, a, b: a * b,
    "Not": lambda _, x: ~x,
    "And": lambda _, a, b: a & b,
    "Equal": lambda _, a, b: a == b,
    "Greater": lambda _, a, b: a > b,
    "GreaterOrEqual": lambda _, a, b: a >= b,
    "Less": lambda _, a, b: a < b,
    "LessOrEqual": lambda _, a, b: a <= b,
    "Where": lambda _, condition, a, b: np.where(condition, a, b),
}
