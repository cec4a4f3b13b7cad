"""What the native target does with each format: the decision, and the table made from it.

Every format in the table has a kernel that reads its packed weights in place. Linear layers with
packed weights round their inputs to 8 bits on the way, in blocks of 32 columns; layers with 8-bit
activations (`a8`) read codes on the grid that calibration fixed. Convolutions have kernels for
such codes and for float32 only.
"""

from __future__ import annotations

from itertools import product
from typing import get_args

from lamella.errors import LoweringError
from lamella.formats import F16, F32, GROUPS, WEIGHT_BITS, Activation, Format
from lamella.frontend.layers import Kind
from lamella.targets.native.passes.follow import Form
from lamella.targets.target import Capability


def form(kind: Kind, format: Format) -> Form:
    """Returns what computes a layer of this kind and format.

    Raises:
        LoweringError: nothing does; says what to use instead.
    """
    whole_rows = format.symmetric and not format.group and not format.is_float
    if kind == "conv1d":
        raise LoweringError(f"format {format.id}: the engine has no 1D convolutions")
    if kind == "embedding":
        if format.activation == "float":
            return "table"
        raise LoweringError(f"format {format.id}: an embedding reads indices, not activations")
    if format.activation == "static" and whole_rows:
        return "static"
    if format.activation != "float":
        raise LoweringError(
            f"format {format.id}: the kernels read codes on one grid with one scale per row, or "
            f"round inputs by themselves; use w{format.bits}a8, or for linear layers "
            f"{format.id.partition('a8')[0]}"
        )
    if kind == "linear":
        return "floats" if format.is_float else "codes"
    if format == F32:
        return "images"
    raise LoweringError(
        f"format {format.id}: convolutions are float32 or read codes; use f32 or "
        f"w{min(format.bits, 8)}a8"
    )


def table() -> tuple[Capability, ...]:
    """Returns every dense (kind, format) that this target stores."""
    rows = []
    for kind, format in product(get_args(Kind), _formats()):
        try:
            form(kind, format)
        except LoweringError:
            continue
        rows.append(Capability(kind, format, "kernel"))
    return tuple(rows)


def _formats() -> tuple[Format, ...]:
    activations: tuple[Activation, ...] = ("float", "static")
    integers = (
        Format(bits, group, symmetric, activation)
        for bits, group, symmetric, activation in product(
            reversed(WEIGHT_BITS), (0, *GROUPS), (True, False), activations
        )
    )
    return (F32, F16, *integers)
