"""The Model: a private copy of the user's module, its layer table and its example inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.table import Table

from lamella.errors import PlanError
from lamella.frontend.layers import Layer
from lamella.grids import Quantized

Shapes = Mapping[str, Any] | tuple[Any, ...] | None


@dataclass(frozen=True, slots=True)
class ActivationGrid:
    """An asymmetric unsigned 8-bit grid of one tensor: real = scale * (code - zero)."""

    scale: float
    zero: int


@dataclass(frozen=True, slots=True)
class Compressed:
    """What compression decided for one layer.

    `weight` holds the codes; `values` holds the (rows, cols) float16-exact or float32 weights of
    a layer that stays floating point; exactly one of the two is set. `input` is the grid of
    what a layer with static activations reads. `loss` is tr(dW H dW^T) / tr(W H W^T), the relative
    squared error of the layer's output on the calibration data.
    """

    format: str
    weight: Quantized | None = None
    values: npt.NDArray[np.float32] | None = None
    input: ActivationGrid | None = None
    loss: float = 0.0


@dataclass
class Model:
    """A traced model, float or compressed.

    `args` and `kwargs` are the example inputs; `dynamic_shapes` is what `torch.export` takes.
    `program` is the exported graph of the float module. `packed` maps layer ids to what
    compression made of them, empty for a float model. `attachments` are files that travel into
    the artifact, such as `tokenizer.json`. `notes` say which modules are left out, and why.
    """

    module: torch.nn.Module
    layers: tuple[Layer, ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    dynamic_shapes: Any
    program: torch.export.ExportedProgram
    name: str = "model"
    licence: str = "unknown"
    packed: dict[str, Compressed] = field(default_factory=dict)
    attachments: dict[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @cached_property
    def by_id(self) -> dict[str, Layer]:
        """Maps layer ids to layers."""
        return {layer.id: layer for layer in self.layers}

    def layer(self, layer_id: str) -> Layer:
        """Returns one layer by id."""
        if layer_id not in self.by_id:
            raise PlanError(f"no layer {layer_id!r}; the layers are: {', '.join(self.by_id)}")
        return self.by_id[layer_id]

    def weight(self, layer: Layer) -> npt.NDArray[np.float32]:
        """Returns a copy of a layer's current weight as a (rows, cols) float32 matrix."""
        tensor = self.module.get_parameter(f"{layer.id}.weight").detach().float()
        matrix = tensor.t() if layer.transposed else tensor.reshape(layer.rows, layer.cols)
        return np.ascontiguousarray(matrix.numpy(), dtype=np.float32).copy()

    def set_weight(self, layer: Layer, matrix: npt.NDArray[np.float32]) -> None:
        """Replaces a layer's weight by a (rows, cols) float32 matrix."""
        tensor = torch.from_numpy(np.ascontiguousarray(matrix))
        shaped = tensor.t() if layer.transposed else tensor.reshape(layer.weight_shape)
        with torch.no_grad():
            self.module.get_parameter(f"{layer.id}.weight").copy_(shaped)

    @property
    def parameters(self) -> int:
        """Returns the number of distinct parameters, tied weights counted once."""
        return sum(tensor.numel() for tensor in self.module.parameters())

    def rows(self) -> list[dict[str, Any]]:
        """Returns the layer table as plain values."""
        return [layer.row() for layer in self.layers]

    def table(self) -> Table:
        """Returns the layer table for a terminal."""
        table = Table(title=f"{self.name}: {self.parameters:,} parameters")
        for heading in ("layer", "kind", "role", "block", "weight", "reads"):
            table.add_column(heading)
        for heading in ("parameters", "MFLOPs", "KiB"):
            table.add_column(heading, justify="right")
        for layer in self.layers:
            shape = "x".join(str(size) for size in layer.weight_shape)
            tied = f" = {layer.tied_to}" if layer.tied_to else ""
            block = "" if layer.block is None else str(layer.block)
            cells = [layer.id, layer.kind, layer.role, block, shape + tied, layer.input_group]
            numbers = [layer.parameters, layer.flops / 1e6, layer.nbytes / 1024]
            table.add_row(*cells, *(f"{number:,.1f}".removesuffix(".0") for number in numbers))
        return table
