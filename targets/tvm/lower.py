"""Lowers a compressed model to a TVM library and its packed parameters.

The float module is exported to ONNX once; every compressed layer then reads its weight through
the subgraph that unpacks it, which TVM compiles into the function. Parameters stay packed in the
artifact and in memory; one layer's weight exists in floating point at a time.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from itertools import product
from typing import Any, get_args

import numpy as np
import onnx_ir

from lamella import formats
from lamella.errors import LoweringError
from lamella.formats import GROUPS, WEIGHT_BITS, Activation, Format
from lamella.frontend.layers import Kind, Layer
from lamella.frontend.model import ActivationGrid, Compressed, Model
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
from lamella.graph.passes.label import LAYER
from lamella.graph.passes.packed import pack
from lamella.graph.passes.round_values import rounded, rounded_tokens
from lamella.graph.passes.shorten import shorten
from lamella.targets.simulation import without_simulation
from lamella.targets.target import Capability, Lowered
from lamella.targets.tvm import importer, program
from lamella.targets.tvm.build import MACHINES, Triple, compile_library
from lamella.targets.tvm.program import Description, Port


def _native() -> Triple:
    return "aarch64" if platform.machine() in ("aarch64", "arm64") else "x86_64"


@dataclass(frozen=True, slots=True)
class TvmTarget:
    """The target "tvm": LLVM for x86-64 (with AVX2) and arm64, or CUDA.

    `triple` is the machine that runs the program, by default one like this.
    """

    name: str = "tvm"
    triple: Triple = field(default_factory=_native)

    def __post_init__(self) -> None:
        if self.triple not in MACHINES:
            raise LoweringError(
                f"the tvm target has no machine {self.triple!r}; it has {', '.join(MACHINES)}"
            )

    def capabilities(self) -> tuple[Capability, ...]:
        """Returns every dense (kind, format) that the target stores; f32 is the only kernel.

        Packed weights are unpacked at every call, into memory that the next layer uses again.
        """
        found = [Capability(kind, formats.F32, "kernel") for kind in get_args(Kind)]
        for kind, format in product(get_args(Kind), _packed_formats()):
            embedding = kind == "embedding" and format.activation != "float"
            tokens = kind != "linear" and format.activation == "dynamic"
            if not embedding and not tokens:
                found.append(Capability(kind, format, "size only"))
        return tuple(found)

    def adapt(self, model: Model) -> Model:
        """Returns the model: int8 layers are computed in float, so nothing can saturate."""
        return model

    def lower(self, model: Model) -> Lowered:
        """Compiles a float or compressed model; equal models give equal bytes.

        Raises:
            LoweringError: names the operator that TVM cannot import, the layer whose format it
                cannot express, or the compiler that is missing.
        """
        try:
            return self._lower(model, model.dynamic_shapes, ())
        except LoweringError as error:
            if not model.dynamic_shapes:
                raise
            note = f"sizes that may differ from call to call are fixed, because otherwise {error}"
        return self._lower(model, None, (note,))

    def _lower(self, model: Model, dynamic_shapes: Any, notes: tuple[str, ...]) -> Lowered:
        with without_simulation(model) as module:
            graph = export_onnx(
                module, model.args, model.kwargs, dynamic_shapes, tuple(model.by_id)
            )
        nbytes = _express_formats(model, graph)
        shorten(graph)
        inputs, outputs = (
            tuple(_port(value) for value in values)
            for values in (graph.graph.inputs, graph.graph.outputs)
        )
        imported = importer.load(graph)
        parameters, content = program.lay_out(imported.parameters)
        machine = MACHINES[self.triple]
        device = "cuda" if self.triple == "cuda" else "cpu"
        description = Description(
            machine.architecture, machine.needs, device, inputs, outputs, parameters
        )
        files = {
            program.LIBRARY: compile_library(imported.module, self.triple),
            program.PARAMETERS: content,
            program.DESCRIPTION: description.to_json(),
        }
        return Lowered(
            target=self.name,
            program=files,
            inputs=tuple(_row(port) for port in inputs),
            outputs=tuple(_row(port) for port in outputs),
            layers=tuple(_layer_row(model, layer, nbytes[layer.id]) for layer in model.layers),
            notes=(*notes, *_notes(model, self.triple, inputs)),
            options={"triple": self.triple, "target": machine.target},
        )


def _packed_formats() -> tuple[Format, ...]:
    integers = (
        Format(bits, group, symmetric, activation)
        for bits, group, symmetric, activation in product(
            reversed(WEIGHT_BITS), (0, *GROUPS), (True, False), get_args(Activation)
        )
    )
    return (formats.F16, *integers)


def _round_input(builder: Builder, node: onnx_ir.Node, grid: ActivationGrid | None) -> None:
    """Makes a node read its input on a static grid, or per token; it still computes in float32.

    The first form of this target has no integer kernels.
    """
    source = node.inputs[0]
    assert source is not None
    if grid is None:
        value = rounded_tokens(builder, source)
    else:
        value = rounded(builder, source, grid.scale, grid.zero)
    node.replace_input_with(0, value)


def _express_formats(model: Model, graph: onnx_ir.Model) -> dict[str, int]:
    """Makes every labelled node read its stored weight; returns the bytes of each layer's."""
    builder = Builder(graph)
    nodes = [node for node in graph.graph if LAYER in node.metadata_props]
    nbytes: dict[str, int] = {}
    for node in nodes:
        layer_id = node.metadata_props[LAYER]
        compressed = _compressed(model, layer_id)
        format = formats.parse(compressed.format)
        _check(layer_id, format, compressed)
        if format.activation != "float":
            _round_input(builder, node, compressed.input)
        if format.is_float:
            nbytes.setdefault(layer_id, _store_float(builder, node, layer_id, format))
            continue
        assert compressed.weight is not None
        packed, before = pack(compressed.weight, layer_id), builder.added
        for part in (*packed.planes, packed.scale, *packed.zeros):
            builder.constant(part)
        nbytes.setdefault(layer_id, builder.added - before)
        set_weight(node, oriented(builder, node, unpacked(builder, packed)))
    builder.finish()
    return nbytes


def _store_float(builder: Builder, node: onnx_ir.Node, layer_id: str, format: Format) -> int:
    """Stores a floating point weight, rows first, so that tied layers share it."""
    before = builder.added
    weight = node.inputs[WEIGHT_AT[node.op_type]]
    assert weight is not None
    assert weight.const_value is not None
    array = weight.const_value.numpy()
    stored = array.astype(np.float16) if format.bits == 16 else array
    if not np.array_equal(stored, array):
        raise LoweringError(
            f"layer {layer_id}: format {format.id} but a weight is not a float16; round the "
            "weights when the model is compressed"
        )
    transposed = is_transposed(node)
    constant = builder.constant(stored.T if transposed else stored)
    if format.bits == 16:
        key = ("half", constant)
        constant = builder.once(key) or builder.keep(key, as_float(builder, constant))
    set_weight(node, oriented(builder, node, constant) if transposed else constant)
    return builder.added - before


def _check(layer_id: str, format: Format, compressed: Compressed) -> None:
    if not format.is_float and compressed.weight is None:
        raise LoweringError(
            f"layer {layer_id}: format {format.id} needs codes and there are none; compress the "
            "model again"
        )
    if format.activation == "static" and compressed.input is None:
        raise LoweringError(
            f"layer {layer_id}: format {format.id} needs the grid of its input; calibrate with "
            "ranges and compress again"
        )


def _compressed(model: Model, layer_id: str) -> Compressed:
    return model.packed.get(layer_id, Compressed("f32"))


def _notes(model: Model, triple: Triple, inputs: tuple[Port, ...]) -> tuple[str, ...]:
    notes = []
    used = {formats.parse(compressed.format) for compressed in model.packed.values()}
    if any(format.bits < 32 for format in used):
        notes.append(
            "weights stay packed in the file and in memory and are unpacked at every call, which "
            "saves bytes and no time"
        )
    if any(format.activation != "float" for format in used):
        notes.append(
            "layers with 8-bit activations round them to their grid and compute in float32"
        )
    free = sorted({size for port in inputs for size in port.shape if isinstance(size, str)})
    notes.append(
        f"sizes that may differ from call to call: {', '.join(free)}"
        if free
        else "every input has the shape of the example inputs; other shapes need another lowering"
    )
    if triple == "cuda":
        notes.append("the CUDA program was compiled for sm_80 and was not run while lowering")
    return tuple(notes)


def _layer_row(model: Model, layer: Layer, nbytes: int) -> dict[str, Any]:
    format = formats.parse(_compressed(model, layer.id).format)
    return {
        "id": layer.id,
        "format": format.id,
        "nbytes": nbytes,
        "support": "kernel" if format == formats.F32 else "size only",
        "operator": "float",
    }


def _port(value: onnx_ir.Value) -> Port:
    if value.shape is None or value.dtype is None:
        raise LoweringError(
            f"the ONNX graph does not say what shape and type {value.name} has; {importer.WAY_OUT}"
        )
    sizes = tuple(size if isinstance(size, int) else str(size) for size in value.shape)
    return Port(str(value.name), value.dtype.numpy().name, sizes)


def _row(port: Port) -> dict[str, Any]:
    return {"name": port.name, "dtype": port.dtype, "shape": list(port.shape)}
