"""Adds nodes and constants to an ONNX graph; equal constants are stored once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir

from lamella.graph.passes.label import LAYER

Attribute = int | float | str | Sequence[int] | onnx_ir.TensorProtocol
CONTRIB = "com.microsoft"


class Builder:
    """Appends nodes to one graph; `finish` puts all nodes into execution order.

    Values that depend on constants only, and the quantised form of an activation, are built once
    per key (see `once`), so that layers which share a weight or an input share its nodes.
    `added` is the number of bytes of the constants that were stored so far.
    """

    def __init__(self, model: onnx_ir.Model) -> None:
        self.model = model
        self.graph = model.graph
        self.added = 0
        self._constants: dict[tuple[str, tuple[int, ...], bytes], onnx_ir.Value] = {}
        self._built: dict[tuple[object, ...], onnx_ir.Value] = {}

    def constant(self, array: npt.NDArray[np.generic] | np.generic) -> onnx_ir.Value:
        """Returns the initializer that holds an array, the same one for equal arrays."""
        content = np.ascontiguousarray(array).reshape(np.shape(array))
        digest = hashlib.sha256(content.tobytes()).digest()
        key = (content.dtype.str, content.shape, digest)
        if key not in self._constants:
            name = self._free_name()
            tensor = onnx_ir.Tensor(content, name=name)
            value = onnx_ir.Value(
                name=name,
                shape=tensor.shape,
                type=onnx_ir.TensorType(tensor.dtype),
                const_value=tensor,
            )
            self.graph.register_initializer(value)
            self._constants[key] = value
            self.added += content.nbytes
        return self._constants[key]

    def once(self, key: tuple[object, ...]) -> onnx_ir.Value | None:
        """Returns what `keep` was given for this key, or None."""
        return self._built.get(key)

    def keep(self, key: tuple[object, ...], value: onnx_ir.Value) -> onnx_ir.Value:
        """Remembers a value under a key and returns it."""
        self._built[key] = value
        return value

    def add(
        self,
        operator: str,
        *inputs: onnx_ir.Value | None,
        domain: str = "",
        layer: str | None = None,
        **attributes: Attribute,
    ) -> onnx_ir.Value:
        """Adds a node and returns its one output.

        Args:
            operator: for example "MatMul".
            inputs: None leaves out an optional input.
            domain: operator set; its version 1 is imported if it is not the standard one.
            layer: the id of the layer that the node carries out.
            attributes: by name, as ONNX defines them.
        """
        metadata = {} if layer is None else {LAYER: layer}
        node = onnx_ir.node(
            operator, inputs, attributes, domain=domain, num_outputs=1, metadata_props=metadata
        )
        if domain:
            self.graph.opset_imports.setdefault(domain, 1)
        self.graph.append(node)
        return node.outputs[0]

    def redirect(
        self, value: onnx_ir.Value, by: onnx_ir.Value, uses: Iterable[tuple[onnx_ir.Node, int]]
    ) -> None:
        """Makes `uses` of a value, and the interface of the graph, read another value.

        Where `value` is an output of the graph, `by` takes over its place, name and type.
        """
        for node, position in uses:
            node.replace_input_with(position, by)
        for index, output in enumerate(self.graph.outputs):
            if output is value:
                self.graph.outputs[index] = by
                by.shape, by.type = value.shape, value.type
                by.name, value.name = value.name, f"{value.name}.before"

    def substitute(self, node: onnx_ir.Node, by: onnx_ir.Value) -> None:
        """Replaces a node that has one output by the value `by` and removes it."""
        (output,) = node.outputs
        self.redirect(output, by, tuple(output.uses()))
        self.graph.remove(node, safe=True)

    def finish(self) -> None:
        """Sorts the nodes of the graph so that each follows what it reads."""
        self.graph.sort()

    def _free_name(self) -> str:
        number = len(self.graph.initializers)
        while f"constant.{number}" in self.graph.initializers:
            number += 1
        return f"constant.{number}"
