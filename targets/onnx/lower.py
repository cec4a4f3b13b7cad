"""Lowers a compressed model to one ONNX file for stock onnxruntime.

The float module, whose weights already are the decoded ones, is exported once; then each layer's
nodes get the form that `capabilities.form` names for its format.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import onnx_ir

from lamella import formats
from lamella.errors import LoweringError
from lamella.formats import Format
from lamella.frontend.layers import Layer
from lamella.frontend.model import Compressed, Model
from lamella.graph import decoder
from lamella.graph.evaluate import serialise
from lamella.graph.export import export_onnx
from lamella.graph.passes.builder import Builder
from lamella.graph.passes.dequantize import (
    WEIGHT_AT,
    as_float,
    is_transposed,
    oriented,
    set_weight,
    unpacked,
)
from lamella.graph.passes.fuse_pad import fuse_pads
from lamella.graph.passes.label import LAYER
from lamella.graph.passes.packed import Packed, pack
from lamella.graph.passes.redundant_clip import remove_redundant_clips
from lamella.graph.passes.round_values import rounded, rounded_tokens
from lamella.graph.passes.shorten import shorten
from lamella.grids import Quantized
from lamella.targets.onnx import capabilities, fused, saturation
from lamella.targets.onnx.capabilities import Form
from lamella.targets.onnx.dynamic_int8 import lower_dynamic
from lamella.targets.onnx.runner import PROGRAM
from lamella.targets.onnx.static_int8 import lower_static
from lamella.targets.onnx.weight_only import gather_blocks, matmul_nbits
from lamella.targets.simulation import without_simulation
from lamella.targets.target import Capability, Lowered


@dataclass(frozen=True, slots=True)
class OnnxTarget:
    """The targets "onnx" and, with `accuracy_level` 4, "onnx-a8".

    `accuracy_level` is onnxruntime's for MatMulNBits. 0 computes in float, so that outputs equal
    the simulation up to the order of additions. 4 rounds the inputs of each block of a
    weight-only layer to int8, symmetric, at run time: faster, and an output may then differ by
    the sum of |weight| * max|input of its block| / 254.
    """

    accuracy_level: Literal[0, 4] = 0

    @property
    def name(self) -> str:
        """Returns the name in the list of targets."""
        return "onnx-a8" if self.accuracy_level else "onnx"

    def capabilities(self) -> tuple[Capability, ...]:
        """Returns every dense (kind, format) that the target stores, kernels first."""
        return capabilities.table(self.accuracy_level)

    def adapt(self, model: Model) -> Model:
        """Repairs the int8 layers that would saturate on this computer, and names them."""
        found = saturation.saturating_layers(model) if saturation.host_saturates() else []
        if not found:
            return model
        note = f"repaired for this CPU without VNNI: {saturation.names(found)}"
        repaired = saturation.repair(model)
        return replace(repaired, notes=(*repaired.notes, note))

    def lower(self, model: Model) -> Lowered:
        """Expresses a float or compressed model as `model.onnx`; equal models give equal bytes.

        Raises:
            LoweringError: names the operator or layer that the target cannot express.
        """
        notes: list[str] = []
        graph = _export(model, notes)
        work = _Lowering(model, graph, self.accuracy_level, notes)
        work.run()
        content = serialise(graph)
        share = work.check_integer_kernels(content)
        return Lowered(
            target="onnx",
            program={PROGRAM: content},
            inputs=tuple(_describe(value) for value in graph.graph.inputs),
            outputs=tuple(_describe(value) for value in graph.graph.outputs),
            layers=tuple(work.row(layer) for layer in model.layers),
            notes=(*work.notes, *saturation.notes(model)),
            options={"accuracy_level": self.accuracy_level, "int8_flops_share": share},
        )


@dataclass
class _Lowering:
    """The state of one lowering: the graph under work and what is known of each layer."""

    model: Model
    graph: onnx_ir.Model
    accuracy_level: int
    notes: list[str] = field(default_factory=list)
    nbytes: dict[str, int] = field(default_factory=dict)
    operators: dict[str, str] = field(default_factory=dict)
    integers: dict[str, list[onnx_ir.Value]] = field(default_factory=dict)
    packs: dict[str, Packed] = field(default_factory=dict)

    def run(self) -> None:
        """Rewrites every labelled node, in execution order, and finishes the graph."""
        fuse_pads(self.graph)
        builder = Builder(self.graph)
        nodes = [node for node in self.graph.graph if LAYER in node.metadata_props]
        for node in nodes:
            self._round_static(builder, node)
        # Which layers hand on codes shows once the rounding of their readers is in the graph.
        remove_redundant_clips(self.graph)
        for node in nodes:
            layer, before = self.model.layer(node.metadata_props[LAYER]), builder.added
            self._lower(builder, node, layer)
            self.nbytes[layer.id] = self.nbytes.get(layer.id, 0) + builder.added - before
        builder.finish()
        shorten(self.graph)

    def row(self, layer: Layer) -> dict[str, Any]:
        """Returns what the report says of a layer."""
        format = self._format(layer.id)
        return {
            "id": layer.id,
            "format": format.id,
            "nbytes": self.nbytes.get(layer.id, 0),
            "support": capabilities.support(layer.kind, format, self.accuracy_level),
            "operator": self.operators[layer.id],
        }

    def check_integer_kernels(self, content: bytes) -> float:
        """Asks onnxruntime which int8 layers it runs on integer kernels.

        Returns:
            The share of the model's FLOPs in those layers; the others are named in a note.
        """
        if not self.integers:
            return 0.0
        kernels = fused.integer_kernels(content)
        fast = []
        for layer, weights in self.integers.items():
            names = [kernels.get(str(weight.name)) for weight in weights]
            if all(names):
                fast.append(layer)
                self.operators[layer] = str(names[0])
            else:
                self.operators[layer] = "float"
        slow = [layer for layer in self.integers if layer not in fast]
        if slow:
            self.notes.append(
                f"onnxruntime computes {len(slow)} of {len(self.integers)} int8 layers in float, "
                f"because it cannot fuse the rounding around them: {', '.join(slow)}"
            )
        total = sum(layer.flops for layer in self.model.layers)
        return sum(self.model.layer(layer).flops for layer in fast) / total if total else 0.0

    @cached_property
    def tied(self) -> frozenset[str]:
        """The layers that share their weight with another one."""
        pairs = [(layer.id, layer.tied_to) for layer in self.model.layers if layer.tied_to]
        return frozenset(layer_id for pair in pairs for layer_id in pair)

    def _compressed(self, node: onnx_ir.Node) -> Compressed:
        return self.model.packed.get(node.metadata_props[LAYER], Compressed("f32"))

    def _format(self, layer_id: str) -> Format:
        compressed = self.model.packed.get(layer_id)
        return formats.parse(compressed.format) if compressed else formats.F32

    def _round_static(self, builder: Builder, node: onnx_ir.Node) -> None:
        grid, source = self._compressed(node).input, node.inputs[0]
        if grid is not None and source is not None and node.op_type != "Gather":
            node.replace_input_with(0, rounded(builder, source, grid.scale, grid.zero))

    def _lower(self, builder: Builder, node: onnx_ir.Node, layer: Layer) -> None:
        compressed, format = self._compressed(node), self._format(layer.id)
        try:
            form = capabilities.form(layer.kind, format, self.accuracy_level)
        except LoweringError as error:
            raise LoweringError(f"layer {layer.id}: {error}") from error
        self.operators[layer.id] = node.op_type
        if form == "float":
            self._store_float(builder, node, layer, format)
            return
        weight = self._codes(layer.id, compressed)
        if format.activation == "static":
            _check_grid(layer.id, compressed)
        if form == "static":
            assert compressed.input is not None
            self._note_integer(layer.id, lower_static(builder, node, weight, compressed.input))
        elif form == "dynamic":
            packed = self._packed(layer.id, weight)
            self._note_integer(layer.id, lower_dynamic(builder, node, packed))
        else:
            source = node.inputs[0]
            if format.activation == "dynamic" and source is not None:
                node.replace_input_with(0, rounded_tokens(builder, source))
            self._lower_float_math(builder, node, self._packed(layer.id, weight), form)

    def _codes(self, layer_id: str, compressed: Compressed) -> Quantized:
        if compressed.weight is None:
            raise LoweringError(
                f"layer {layer_id}: format {compressed.format} needs codes and there are none; "
                "compress the model again"
            )
        return compressed.weight

    def _packed(self, layer_id: str, weight: Quantized) -> Packed:
        if layer_id not in self.packs:
            self.packs[layer_id] = pack(weight, layer_id)
        return self.packs[layer_id]

    def _note_integer(self, layer_id: str, weight: onnx_ir.Value) -> None:
        self.integers.setdefault(layer_id, []).append(weight)

    def _lower_float_math(
        self, builder: Builder, node: onnx_ir.Node, packed: Packed, form: Form
    ) -> None:
        layer_id = node.metadata_props[LAYER]
        if form == "matmul_nbits" and _rank(node) != 1:
            # Inputs that are on a grid already must not be rounded a second time.
            exact = self._format(layer_id).activation != "float"
            level = 0 if exact else self.accuracy_level
            bits = capabilities.NBITS[self.accuracy_level][packed.bits]
            matmul_nbits(builder, node, packed, bits, level)
            self.operators[layer_id] = "MatMulNBits"
        elif form == "gather_blocks":
            gather_blocks(builder, node, packed, capabilities.GATHERED[packed.bits])
            self.operators[layer_id] = "GatherBlockQuantized"
        else:
            set_weight(node, oriented(builder, node, unpacked(builder, packed)))

    def _store_float(
        self, builder: Builder, node: onnx_ir.Node, layer: Layer, format: Format
    ) -> None:
        weight = node.inputs[WEIGHT_AT[node.op_type]]
        assert weight is not None
        assert weight.const_value is not None
        array = weight.const_value.numpy()
        if format.bits == 32 and layer.id not in self.tied:
            self.nbytes[layer.id] = array.nbytes
            return
        stored = array.astype(np.float16) if format.bits == 16 else array
        if not np.array_equal(stored, array):
            raise LoweringError(
                f"layer {layer.id}: format {format.id} but a weight is not a float16; round the "
                "weights when the model is compressed"
            )
        # Rows first, so that layers which share a weight share its bytes.
        constant = builder.constant(stored.T if is_transposed(node) else stored)
        key = ("half", constant)
        if format.bits == 16:
            constant = builder.once(key) or builder.keep(key, as_float(builder, constant))
        set_weight(node, oriented(builder, node, constant) if is_transposed(node) else constant)


def _export(model: Model, notes: list[str]) -> onnx_ir.Model:
    """Returns the float graph; that of a language model keeps its cache between steps."""
    layers = tuple(model.by_id)
    with without_simulation(model) as module:
        if decoder.is_decoder(module, model.args, model.kwargs):
            reason = decoder.obstacle(module)
            if not reason:
                return decoder.export_decoder(module, model.program, layers)
            notes.append(f"every step of a text computes the whole text again: {reason}")
        return export_onnx(module, model.args, model.kwargs, model.dynamic_shapes, layers)


def _check_grid(layer_id: str, compressed: Compressed) -> None:
    """Refuses a layer with static activations whose grid compression did not set.

    Raises:
        LoweringError: names the layer.
    """
    if compressed.input is None:
        raise LoweringError(
            f"layer {layer_id}: format {compressed.format} needs the grid of its input; "
            "calibrate with ranges and compress again"
        )


def _rank(node: onnx_ir.Node) -> int | None:
    source = node.inputs[0]
    return None if source is None or source.shape is None else len(source.shape)


def _describe(value: onnx_ir.Value) -> dict[str, Any]:
    shape = value.shape
    sizes = [] if shape is None else [getattr(size, "value", size) for size in shape]
    return {
        "name": value.name,
        "dtype": "" if value.dtype is None else str(value.dtype.numpy()),
        "shape": sizes,
    }
