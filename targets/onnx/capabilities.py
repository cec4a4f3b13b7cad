"""What the onnx target does with each format: the decision, and the table made from it.

Measured with onnxruntime 1.32 on AVX-512 VNNI, one thread, a 576x1536 linear layer, groups of 32,
in milliseconds for 1 and for 64 rows: float 0.13 and 0.56; MatMulNBits at accuracy level 0 takes
0.07 and 0.65 with 4 bits, but 1.8 and 2.5 with 2 bits and 2.2 and 3.4 with 8 bits, because only
4 bits have a kernel there and the others are unpacked at every call; at level 4, where
activations are rounded to 8 bits per block, all three take 0.02 to 0.04 and 0.8 to 2.0. So narrower
codes are widened to a width with a kernel when the model is loaded; where there is none, weights
are unpacked to float then, hence "size only".
"""

from __future__ import annotations

from itertools import product
from typing import Literal, get_args

from lamella.errors import LoweringError
from lamella.formats import F16, F32, GROUPS, WEIGHT_BITS, Activation, Format
from lamella.frontend.layers import Kind
from lamella.targets.target import Capability, Support

# How a weight is expressed: floating point; unpacked when the model is loaded; block-quantised
# operators of onnxruntime that read packed weights; integer arithmetic on int8 activations.
Form = Literal["float", "dequantise", "matmul_nbits", "gather_blocks", "static", "dynamic"]

# The width that MatMulNBits, by its accuracy level, and GatherBlockQuantized read for each width
# that is stored. Only widths whose packed kernel beats float are here.
NBITS = {0: {2: 4, 3: 4, 4: 4}, 4: {2: 2, 3: 4, 4: 4, 5: 8, 6: 8, 8: 8}}
GATHERED = {2: 2, 3: 4, 4: 4, 5: 8, 6: 8, 8: 8}


def form(kind: Kind, format: Format, accuracy_level: int = 0) -> Form:
    """Returns how a layer of this kind and format is expressed.

    Raises:
        LoweringError: the activation format has no meaning for this kind of layer.
    """
    check_activation(kind, format)
    if format.is_float:
        return "float"
    whole_rows = format.symmetric and not format.group
    if whole_rows and format.activation == "static":
        return "static"
    if whole_rows and format.activation == "dynamic":
        return "dynamic"
    if kind == "linear" and format.group and format.bits in NBITS[accuracy_level]:
        return "matmul_nbits"
    if kind == "embedding" and format.group and format.bits in GATHERED:
        return "gather_blocks"
    return "dequantise"


def check_activation(kind: Kind, format: Format) -> None:
    """Refuses 8-bit inputs where a layer reads indices, or has no tokens to scale.

    Raises:
        LoweringError: names the kind and what to use instead.
    """
    if kind == "embedding" and format.activation != "float":
        raise LoweringError(
            f"format {format.id}: an embedding reads indices, not activations; "
            f"use {format.id.partition('a8')[0]}"
        )
    if kind != "linear" and format.activation == "dynamic":
        raise LoweringError(
            f"format {format.id}: a grid per token needs a linear layer, this is a {kind}; "
            f"use {format.id.replace('a8d', 'a8')}"
        )


def support(kind: Kind, format: Format, accuracy_level: int = 0) -> Support:
    """Returns whether packed weights are used in place for this kind and format."""
    chosen = form(kind, format, accuracy_level)
    if chosen in ("static", "dynamic"):
        return "kernel"
    # Rounding activations and then computing in float saves neither bytes nor time.
    if format.activation == "float" and chosen in ("matmul_nbits", "gather_blocks"):
        return "kernel"
    return "kernel" if format == F32 else "size only"


def table(accuracy_level: int = 0) -> tuple[Capability, ...]:
    """Returns every dense (kind, format) that this target stores, kernels first."""
    rows = []
    for kind, format in product(get_args(Kind), _formats()):
        try:
            rows.append(Capability(kind, format, support(kind, format, accuracy_level)))
        except LoweringError:
            continue
    return tuple(sorted(rows, key=lambda row: row.support != "kernel"))


def _formats() -> tuple[Format, ...]:
    integers = (
        Format(bits, group, symmetric, activation)
        for bits, group, symmetric, activation in product(
            reversed(WEIGHT_BITS), (0, *GROUPS), (True, False), get_args(Activation)
        )
    )
    return (F32, F16, *integers)
