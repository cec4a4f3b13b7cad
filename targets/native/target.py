"""Lowers a model to a program of the native engine.

The float module is exported once, as for every target; passes find attention and let layers do what
follows them; then `rules` write a call for each node that is left. A free axis of an input is a
symbol of the program: it may be as large as torch.export was told, or as what it cuts from a
constant has places, such as a table of positions, and otherwise MOST. Decoders are built from
their modules instead, by `decoder`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx_ir
from onnx_ir.passes import common

from lamella import formats
from lamella.errors import LoweringError
from lamella.frontend.model import Compressed, Model
from lamella.graph.decoder import is_decoder
from lamella.graph.export import export_onnx
from lamella.graph.passes.dequantize import WEIGHT_AT
from lamella.graph.passes.fuse_pad import fuse_pads
from lamella.graph.passes.label import LAYER
from lamella.targets.native import capabilities
from lamella.targets.native.decoder import lower as decoder
from lamella.targets.native.emitter import Emitter
from lamella.targets.native.passes.attention import fuse_attention
from lamella.targets.native.passes.follow import Following, Layers, follow
from lamella.targets.native.passes.silu import fuse_silu
from lamella.targets.native.program import Program, Value
from lamella.targets.native.rules import RULES
from lamella.targets.native.writer import write
from lamella.targets.simulation import without_simulation
from lamella.targets.target import Capability, Lowered

# The largest size of a free axis of which nothing is known, such as a batch.
MOST = 64


@dataclass(frozen=True, slots=True)
class NativeTarget:
    """The target "native".

    Layers on static codes hand on codes where all their readers read codes on one grid, and take
    over bounds, activations and residual sums. A code may then differ by one from that of the
    layers on their own, and what a residual adds is rounded to the codes of its other reader.
    With `fused` off every layer gives float32, and outputs equal those of
    `lamella.compression.emulate` bit for bit where the rest of the model is on kernels there.
    """

    fused: bool = True

    @property
    def name(self) -> str:
        """Returns the name in the list of targets."""
        return "native"

    def capabilities(self) -> tuple[Capability, ...]:
        """Returns every dense (kind, format) that the target stores; all have kernels."""
        return capabilities.table()

    def adapt(self, model: Model) -> Model:
        """Returns the model as it is: the kernels give the same bits on every processor."""
        return model

    def lower(self, model: Model) -> Lowered:
        """Expresses a float or compressed model as a program; equal models give equal bytes.

        Raises:
            LoweringError: names the node or layer that has no operation or kernel.
        """
        if is_decoder(model.module, model.args, model.kwargs):
            return decoder.lower(model)
        emitter, program = self.program(model)
        return Lowered(
            target="native",
            program=write(program),
            inputs=tuple(_describe(name, value) for name, value in program.inputs.items()),
            outputs=tuple(_describe(name, value) for name, value in program.outputs.items()),
            layers=tuple(
                {
                    "id": layer.id,
                    "format": _format(model, layer.id).id,
                    "nbytes": emitter.nbytes.get(layer.id, 0),
                    "support": "kernel",
                    "operator": emitter.operators.get(layer.id, ""),
                }
                for layer in model.layers
            ),
        )

    def program(self, model: Model) -> tuple[Emitter, Program]:
        """Returns the program before its memory is planned, and what wrote it."""
        with without_simulation(model) as module:
            graph = export_onnx(
                module, model.args, model.kwargs, model.dynamic_shapes, tuple(model.by_id)
            )
        fuse_pads(graph)
        fuse_attention(graph)
        fuse_silu(graph)
        common.RemoveUnusedNodesPass()(graph)
        layers = _layers(model, graph)
        follow(graph, layers, fused=self.fused)
        common.RemoveUnusedNodesPass()(graph)
        emitter = Emitter(model, layers, RULES, fused=self.fused)
        return emitter, emitter.run(graph.graph, _largest(model, graph))


def _format(model: Model, layer_id: str) -> formats.Format:
    return formats.parse(model.packed.get(layer_id, Compressed("f32")).format)


def _layers(model: Model, graph: onnx_ir.Model) -> Layers:
    """Returns what has a weight: labelled nodes, and others whose weight is a constant."""
    found: Layers = {}
    for node in graph.graph:
        place = WEIGHT_AT.get(node.op_type)
        layer_id = node.metadata_props.get(LAYER, "")
        if place is None:
            continue
        weight = node.inputs[place]
        constant = weight is not None and weight.const_value is not None
        if layer_id:
            found[node] = _following(model, node, layer_id)
        elif constant and node.op_type != "Gather":
            found[node] = Following("images" if node.op_type == "Conv" else "floats")
        else:
            continue
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        if bias is not None:
            if bias.const_value is None:
                raise LoweringError(f"layer {layer_id}: its bias is not a constant")
            found[node].shift = bias.const_value.numpy().astype("float64")
    return found


def _following(model: Model, node: onnx_ir.Node, layer_id: str) -> Following:
    layer, compressed = model.layer(layer_id), model.packed.get(layer_id)
    try:
        form = capabilities.form(layer.kind, _format(model, layer_id).dense)
    except LoweringError as error:
        raise LoweringError(f"layer {layer_id}: {error}") from error
    return Following(form, compressed.input if compressed and form == "static" else None)


def _largest(model: Model, graph: onnx_ir.Model) -> dict[tuple[str, int], int]:
    """Returns the largest size of every free axis of an input, by name and number of the axis."""
    limits = model.program.range_constraints
    names = model.program.graph_signature.user_inputs
    shapes = {
        node.name: node.meta["val"].shape
        for node in model.program.graph.nodes
        if node.op == "placeholder" and node.name in names
    }
    found: dict[tuple[str, int], int] = {}
    for value, name in zip(graph.graph.inputs, names, strict=False):
        for place, size in enumerate(value.shape or ()):
            if isinstance(size, int):
                continue
            symbol = getattr(getattr(shapes[name][place], "node", None), "expr", None)
            found[str(value.name), place] = _upper(limits.get(symbol))
    return found


def _upper(limit: Any) -> int:
    """Returns the upper end of a range of torch.export, or MOST where there is none."""
    try:
        upper = int(limit.upper)
    except (AttributeError, OverflowError, TypeError, ValueError):
        return MOST
    return upper if upper < 1 << 20 else MOST


def _describe(name: str, value: Value) -> dict[str, Any]:
    sizes = [str(axis) if axis.symbols else axis.add for axis in value.axes]
    return {"name": name, "dtype": value.dtype, "shape": sizes}
