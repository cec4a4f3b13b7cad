"""Writes a program from a graph, node by node; `rules` has a function for each operator."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir

from lamella.errors import LoweringError
from lamella.frontend.model import Model
from lamella.graph.passes.label import LAYER, SCOPES
from lamella.targets.native.arrays import Array, Arrays
from lamella.targets.native.passes.follow import Layers
from lamella.targets.native.program import Axis, Program, Symbol, Value, axis

# Sizes of whole numbers that are known while a program is written: numbers and `Axis`.
Known = npt.NDArray[np.object_]
Rule = Callable[["Emitter", onnx_ir.Node], None]

# Larger constants are data and not sizes.
_MOST_KNOWN = 64


class Emitter:
    """The state of one lowering behind the passes."""

    def __init__(
        self, model: Model, layers: Layers, rules: Mapping[str, Rule], *, fused: bool
    ) -> None:
        self.model = model
        self.layers = layers
        self.fused = fused
        self.program = Program()
        self.arrays = Arrays(self.program)
        self.nbytes: dict[str, int] = {}
        self.operators: dict[str, str] = {}
        self._rules = rules
        self._found: dict[onnx_ir.Value, Array] = {}
        self._known: dict[onnx_ir.Value, Known] = {}
        self._most: dict[str, int] = {}
        self._bools: dict[Value, Value] = {}

    def run(self, graph: onnx_ir.Graph, most: Mapping[tuple[str, int], int]) -> Program:
        """Writes all nodes.

        Args:
            graph: sorted.
            most: the largest size of an axis that is free, by input and number of the axis.

        Raises:
            LoweringError: names the node that has no operation, and its layer.
        """
        for value in graph.inputs:
            self._add_input(value, most)
        for node in graph:
            self._write(node)
        for value in graph.outputs:
            self.program.outputs[str(value.name)] = self._output(value)
        self.program.symbols = [Symbol(name, 1, size) for name, size in self._most.items()]
        return self.program

    def array(self, value: onnx_ir.Value | None) -> Array:
        """Returns the array of a value of the graph, as numbers."""
        return self.arrays.real(self.raw(value))

    def raw(self, value: onnx_ir.Value | None) -> Array:
        """Returns the array of a value of the graph, which may be codes."""
        assert value is not None
        if value not in self._found:
            if value.const_value is None:
                raise LoweringError(f"{value.name} is a list of sizes and is used as an array")
            self._found[value] = self.arrays.constant(value.const_value.numpy())
        return self._found[value]

    def known(self, value: onnx_ir.Value | None) -> Known | None:
        """Returns the sizes that a value has, or None."""
        if value is not None and value.const_value is not None and value not in self._known:
            data = value.const_value
            if len(data.shape) < 2 and data.size <= _MOST_KNOWN and data.dtype.is_integer():
                self._known[value] = data.numpy().astype(object)
        return None if value is None else self._known.get(value)

    def set(self, node: onnx_ir.Node, array: Array) -> None:
        """Says what a node gives."""
        self._found[node.outputs[0]] = array

    def know(self, node: onnx_ir.Node, sizes: Known) -> None:
        """Says that a node gives sizes."""
        self._known[node.outputs[0]] = sizes

    def limit(self, size: Axis, most: int) -> None:
        """Says that a size may not exceed a number."""
        if len(size.symbols) == 1 and size.mul > 0:
            name = size.symbols[0]
            self._most[name] = min(self._most[name], (most - size.add) // size.mul)

    def as_bool(self, value: Value) -> Value:
        """Returns which elements of a value are not 0; made once."""
        if value not in self._bools:
            self._bools[value] = self.program.call("cast", (value,), value.axes, dtype="bool")
        return self._bools[value]

    def constant(self, node: onnx_ir.Node, place: int) -> npt.NDArray[Any]:
        """Returns an input that must be a constant."""
        value = node.inputs[place] if place < len(node.inputs) else None
        if value is None or value.const_value is None:
            raise LoweringError(f"input {place} must be a constant")
        return value.const_value.numpy()

    def _add_input(self, value: onnx_ir.Value, most: Mapping[tuple[str, int], int]) -> None:
        name, sizes = str(value.name), []
        assert value.shape is not None
        assert value.dtype is not None
        for place, size in enumerate(value.shape):
            if isinstance(size, int):
                sizes.append(axis(size))
                continue
            sizes.append(axis(str(size.value)))
            known = self._most.get(str(size.value), most[name, place])
            self._most[str(size.value)] = min(known, most[name, place])
        dtype = str(value.dtype.numpy())
        self._found[value] = self.arrays.plain(self.program.input(name, dtype, sizes))

    def _write(self, node: onnx_ir.Node) -> None:
        before = len(self.program.calls)
        try:
            rule = self._rules.get(node.op_type)
            if rule is None:
                raise LoweringError("the engine has no operation for it")
            rule(self, node)
        except LoweringError as error:
            raise LoweringError(
                f"{node.op_type} in {_place(node)}: {error}; use the target onnx for this model"
            ) from error
        label = node.metadata_props.get(LAYER, "")
        for number, call in enumerate(self.program.calls[before:], before):
            self.program.calls[number] = call.labelled(label)

    def _output(self, value: onnx_ir.Value) -> Value:
        array = self.array(value)
        stored = self.arrays.stored(array)
        if stored.owner.place in ("input", "weights"):
            return self.program.call("copy", (stored,), stored.axes, dtype=stored.dtype)
        return stored


def _place(node: onnx_ir.Node) -> str:
    """Returns the layer of a node, or the module that it comes from."""
    if LAYER in node.metadata_props:
        return f"layer {node.metadata_props[LAYER]}"
    scopes = ast.literal_eval(node.metadata_props.get(SCOPES, "[]"))
    path = scopes[-2] if len(scopes) > 1 else ""
    return f"module {path}" if path else "the top module"
