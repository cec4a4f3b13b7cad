"""What a format costs: bytes of a layer and of the whole file, and operations by operand width.

Source: bit operations as in HAWQ-V3, Yao et al. 2021, arXiv:2011.10680, section 3.3.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from lamella.formats import Format
from lamella.frontend.layers import Layer
from lamella.frontend.model import Model
from lamella.targets.target import Support

FLOAT_BYTES = 4

# The bytes that one operator takes in a serialised graph: names of its inputs and outputs, its
# attributes and its metadata.
OPERATOR_BYTES = 250


@dataclass(frozen=True, slots=True)
class Overhead:
    """The bytes of a file that no choice of formats changes.

    `parameters` are norms and everything else outside the layer table, kept in float32;
    `operators` is the description of the graph, `attachments` the files that travel along.
    """

    parameters: int
    operators: int
    attachments: int

    @property
    def total(self) -> int:
        """Returns the sum in bytes."""
        return self.parameters + self.operators + self.attachments


def overhead(model: Model) -> Overhead:
    """Returns what the file of a model holds besides its layers."""
    inside = sum(_parameters(layer) for layer in model.layers)
    operators = sum(node.op == "call_function" for node in model.program.graph.nodes)
    return Overhead(
        FLOAT_BYTES * max(model.parameters - inside, 0),
        OPERATOR_BYTES * operators,
        sum(len(content) for content in model.attachments.values()),
    )


def layer_bytes(layer: Layer, format: Format) -> int:
    """Returns the bytes of a layer's packed weight and float32 bias; a tied weight counts 0."""
    weight = 0 if layer.tied_to else format.nbytes(layer.rows, layer.cols)
    return weight + (FLOAT_BYTES * layer.rows if layer.has_bias else 0)


def layer_bits(layer: Layer, format: Format) -> float:
    """Returns the bits per weight of a layer, scales included and bias left out."""
    return 8 * format.nbytes(layer.rows, layer.cols) / (layer.rows * layer.cols)


def bit_operations(layer: Layer, format: Format, support: Support | None) -> float:
    """Returns a layer's FLOPs, each weighted by its operands' widths relative to float32.

    A format that has no kernel is computed in float32, whatever its width in the file.
    """
    if support != "kernel":
        return float(layer.flops)
    activation = 32 if format.activation == "float" else 8
    return layer.flops * (format.bits / 32) * (activation / 32)


def is_integer(format: Format, support: str | None) -> bool:
    """Whether a layer computes on int8 activations; rounding them for a float kernel is not it."""
    return format.activation != "float" and support != "size only"


def integer_share(layers: Iterable[Layer], integer: Collection[str]) -> float:
    """Returns the share of the FLOPs that lies in the layers with the ids `integer`, 0 to 1."""
    rows = list(layers)
    total = sum(layer.flops for layer in rows)
    inside = sum(layer.flops for layer in rows if layer.id in integer)
    return inside / total if total else 0.0


def _parameters(layer: Layer) -> int:
    weights = 0 if layer.tied_to else layer.rows * layer.cols
    return weights + (layer.rows if layer.has_bias else 0)
