"""The layer table: one row per compressible layer of a model, with everything a planner needs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["linear", "conv1d", "conv2d", "depthwise2d", "embedding"]


@dataclass(frozen=True, slots=True)
class Convolution:
    """The geometry of a convolution, one entry per spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


@dataclass(frozen=True, slots=True)
class Layer:
    """One compressible layer.

    `id` is the qualified name of the module, and what joins the torch module, the exported graph,
    the ONNX nodes, the packed weight and the rows of a report. Every weight is seen as a
    (rows, cols) matrix: rows are output channels (vocabulary entries of an embedding), cols the
    inputs of one output, for a convolution (in_channels / groups) * kernel height * width.

    `flops` counts two per multiply-add on the example inputs; an embedding has none. `nbytes` is
    the size of weight and bias as they are now. `input_group` is the same text for the layers
    that read the same tensor. `tied_to` names the layer whose weight this one shares; the table
    counts parameters and bytes once, at that layer.
    """

    id: str
    kind: Kind
    role: str
    block: int | None
    rows: int
    cols: int
    weight_shape: tuple[int, ...]
    has_bias: bool
    parameters: int
    flops: int
    nbytes: int
    input_group: str
    tied_to: str | None = None
    transposed: bool = False
    convolution: Convolution | None = None

    def row(self) -> dict[str, Any]:
        """Returns the layer as plain values, ready for JSON."""
        return asdict(self)
