"""Lets a layer do what follows it: bias, normalisation, activation, bounds, and a residual sum.

Nodes that a layer takes over leave the graph, and its own output stands for theirs. Batch
normalisation is taken over always, because it is a factor and a bias of each row. The others are
where the layer's kernel does them (`native/KERNELS.md`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx_ir

from lamella.frontend.model import ActivationGrid

# What computes a layer: codes on a static grid, float images, float vectors, packed weights with
# inputs that are rounded on the way, or rows of a table.
Form = Literal["static", "images", "floats", "codes", "table"]

ACTIVATIONS = {"Gelu": "gelu", "Sigmoid": "sigmoid", "HardSwish": "hard_swish", "Silu": "silu"}
ACTIVATIONS |= {"Relu": "relu"}


@dataclass
class Following:
    """What a layer does with its sums, in this order; `factor` and `shift` are (rows)."""

    form: Form
    grid: ActivationGrid | None = None  # of the input, for static layers
    factor: npt.NDArray[np.float64] | None = None
    shift: npt.NDArray[np.float64] | None = None
    residual: onnx_ir.Value | None = None
    activation: str = "none"
    low: float = -math.inf
    high: float = math.inf

    @property
    def open(self) -> bool:
        """Whether neither a residual nor anything behind it was taken over."""
        return self.residual is None and self.finished is False

    @property
    def finished(self) -> bool:
        """Whether an activation or bounds were taken over."""
        return self.activation != "none" or self.low != -math.inf or self.high != math.inf


Layers = dict[onnx_ir.Node, Following]


def follow(model: onnx_ir.Model, layers: Layers, *, fused: bool) -> None:
    """Changes the graph and the layers in place.

    Args:
        model: as exported.
        layers: every node that has a weight, in execution order.
        fused: whether static layers take over activations, bounds and residual sums; the codes
            that they then hand on may be one step off those of layers on their own.
    """
    done: set[onnx_ir.Value] = set(model.graph.inputs)
    for node, layer in layers.items():
        takers: list[Callable[[onnx_ir.Node, onnx_ir.Node, Following], bool]] = [_bias, _norm]
        if fused or layer.form != "static":
            takers += [_bounds, _activation]
        while (user := _only_user(node)) is not None:
            taken = any(take(node, user, layer) for take in takers)
            if not taken and fused:
                taken = _residual(node, user, layer, layers, done)
            if not taken:
                break
            _remove(model, node, user)
        done.add(node.outputs[0])


def static_grid(value: onnx_ir.Value, layers: Layers) -> ActivationGrid | None:
    """Returns the one grid on which static layers read a value, or None."""
    grids = {
        layers[use.node].grid
        for use in value.uses()
        if use.node in layers and layers[use.node].form == "static" and use.idx == 0
    }
    return grids.pop() if len(grids) == 1 else None


def handed_on(value: onnx_ir.Value, layers: Layers) -> ActivationGrid | None:
    """Returns the grid of a value that nobody reads but as codes on it, or None."""
    if value.is_graph_output():
        return None
    for use in value.uses():
        known = use.node in layers and layers[use.node].form == "static" and use.idx == 0
        if not known and use.node.op_type != "Shape":
            return None
    return static_grid(value, layers)


def _bias(node: onnx_ir.Node, user: onnx_ir.Node, layer: Following) -> bool:
    rows = _vector(user, node.outputs[0]) if user.op_type == "Add" else None
    if node.op_type != "MatMul" or layer.shift is not None or not layer.open or rows is None:
        return False
    layer.shift = rows
    return True


def _norm(node: onnx_ir.Node, user: onnx_ir.Node, layer: Following) -> bool:
    if user.op_type != "BatchNormalization" or node.op_type != "Conv" or not layer.open:
        return False
    numbers = [None if value is None else value.const_value for value in user.inputs[1:5]]
    if any(number is None for number in numbers):
        return False
    gain, bias, mean, variance = (
        np.asarray(number.numpy(), np.float64) for number in numbers if number is not None
    )
    epsilon = user.attributes["epsilon"].as_float() if "epsilon" in user.attributes else 1e-5
    factor = gain / np.sqrt(variance + epsilon)
    before = 0.0 if layer.shift is None else layer.shift
    layer.factor = factor if layer.factor is None else layer.factor * factor
    layer.shift = (before - mean) * factor + bias
    return True


def _activation(_: onnx_ir.Node, user: onnx_ir.Node, layer: Following) -> bool:
    name = ACTIVATIONS.get(user.op_type, "")
    if layer.form not in ("static", "floats") or layer.finished or not name:
        return False
    layer.activation = name
    if user.op_type == "Gelu" and "approximate" in user.attributes:
        exact = user.attributes["approximate"].as_string() == "none"
        layer.activation = "gelu" if exact else "gelu_tanh"
    return True


def _bounds(_: onnx_ir.Node, user: onnx_ir.Node, layer: Following) -> bool:
    limits = bounds(user)
    if limits is None or layer.form not in ("static", "images"):
        return False
    low, high = limits
    layer.low, layer.high = max(layer.low, low), min(layer.high, high)
    return True


def _residual(
    node: onnx_ir.Node,
    user: onnx_ir.Node,
    layer: Following,
    layers: Layers,
    done: set[onnx_ir.Value],
) -> bool:
    if user.op_type != "Add" or layer.form != "static" or not layer.open:
        return False
    other = user.inputs[1 - user.inputs.index(node.outputs[0])]
    if other is None or other is node.outputs[0] or other not in done:
        return False
    if static_grid(other, layers) is None or other.shape != node.outputs[0].shape:
        return False
    layer.residual = other
    return True


def bounds(node: onnx_ir.Node) -> tuple[float, float] | None:
    """Returns what a Relu or a Clip limits its input to, or None if that is not constant."""
    if node.op_type == "Relu":
        return 0.0, math.inf
    if node.op_type != "Clip":
        return None
    limits = []
    for place, otherwise in ((1, -math.inf), (2, math.inf)):
        given = node.inputs[place] if len(node.inputs) > place else None
        constant = None if given is None else given.const_value
        if given is not None and constant is None:
            return None
        limits.append(otherwise if constant is None else float(constant.numpy()))
    return limits[0], limits[1]


def _vector(node: onnx_ir.Node, other: onnx_ir.Value) -> npt.NDArray[np.float64] | None:
    """Returns the constant vector that a node has beside another operand, or None."""
    given = [value for value in node.inputs if value is not other]
    constant = given[0].const_value if len(given) == 1 and given[0] is not None else None
    if constant is None or len(constant.shape) != 1:
        return None
    return np.asarray(constant.numpy(), np.float64)


def _only_user(node: onnx_ir.Node) -> onnx_ir.Node | None:
    uses = tuple(node.outputs[0].uses())
    return uses[0].node if len(uses) == 1 and not node.outputs[0].is_graph_output() else None


def _remove(model: onnx_ir.Model, node: onnx_ir.Node, taken: onnx_ir.Node) -> None:
    """Lets the output of a node stand for that of the node behind it."""
    ours, theirs = node.outputs[0], taken.outputs[0]
    for user, position in tuple(theirs.uses()):
        user.replace_input_with(position, ours)
    ours.shape = theirs.shape
    for index, output in enumerate(model.graph.outputs):
        if output is theirs:
            model.graph.outputs[index] = ours
            ours.name, theirs.name = theirs.name, f"{theirs.name}.taken"
            ours.type = theirs.type
    model.graph.remove(taken, safe=True)
