"""Packs codes into bytes: one plane of 2, 4, 8 or 1 bits a code, or two planes for odd widths.

A code of 3 bits is stored as its low 2 bits in one plane and its high bit in another; 5 bits as
4 + 1, 6 bits as 4 + 2. In a plane, byte j of a row holds the fields of columns j * p to
j * p + p - 1 (p = 8 / width), the first in the lowest bits, and each row starts at a new byte.
A plane of 4 bits is therefore what onnxruntime's block-quantised operators read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lamella.errors import LoweringError
from lamella.grids import Code, Quantized

PLANES = {2: (2,), 3: (2, 1), 4: (4,), 5: (4, 1), 6: (4, 2), 8: (8,)}

Scale = npt.NDArray[np.float16] | npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Packed:
    """One weight as the bytes that a graph stores.

    Shapes: each of `planes` is (rows, ceil(cols * width / 8)), widths as in PLANES[bits]; `scale`
    is (rows, groups), float16 for grouped formats and float32 for whole rows; `zeros` are the
    planes of the (rows, groups) zero points, empty for symmetric formats.
    """

    bits: int
    rows: int
    cols: int
    group: int
    planes: tuple[Code, ...]
    scale: Scale
    zeros: tuple[Code, ...]

    @property
    def groups(self) -> int:
        """Returns the number of scales of a row."""
        return int(self.scale.shape[1])

    @property
    def nbytes(self) -> int:
        """Returns the size of all parts in bytes."""
        return sum(part.nbytes for part in (*self.planes, self.scale, *self.zeros))


def pack(weight: Quantized, layer: str) -> Packed:
    """Packs the codes of one layer; a mask is not stored, its weights have the code `zero`.

    Raises:
        LoweringError: a scale of a grouped format is not a float16, or a code is out of range,
            so that the packed weight would differ from the simulated one.
    """
    format, grid = weight.format, weight.grid
    rows, cols = weight.codes.shape
    if int(weight.codes.max(initial=0)) >= format.levels:
        raise LoweringError(
            f"layer {layer}: a code of {weight.codes.max()} does not fit {format.bits} bits"
        )
    half = format.scale_bits == 16
    scale: Scale = grid.scale.astype(np.float16) if half else grid.scale.astype(np.float32)
    if not np.array_equal(scale.astype(np.float32), grid.scale):
        raise LoweringError(
            f"layer {layer}: format {format.id} stores scales as float16 and one of them is not; "
            "round the scales before the codes are fitted"
        )
    if format.symmetric and not (grid.zero == format.levels // 2).all():
        raise LoweringError(
            f"layer {layer}: format {format.id} is symmetric but a zero point differs from "
            f"{format.levels // 2}; use {format.id}z"
        )
    zeros = () if format.symmetric else planes(grid.zero, format.bits)
    return Packed(
        bits=format.bits,
        rows=rows,
        cols=cols,
        group=format.group or cols,
        planes=planes(weight.codes, format.bits),
        scale=scale,
        zeros=zeros,
    )


def planes(codes: Code, bits: int) -> tuple[Code, ...]:
    """Splits (rows, cols) codes into the planes of their width, low bits first."""
    parts: list[Code] = []
    shift = 0
    for width in PLANES[bits]:
        parts.append(_plane(codes, shift, width))
        shift += width
    return tuple(parts)


def _plane(codes: Code, shift: int, width: int) -> Code:
    rows, cols = codes.shape
    per_byte = 8 // width
    fields = (codes >> np.uint8(shift)) & np.uint8((1 << width) - 1)
    padded = np.pad(fields, ((0, 0), (0, -cols % per_byte))).reshape(rows, -1, per_byte)
    shifts = (np.arange(per_byte) * width).astype(np.uint8)
    packed: Code = np.bitwise_or.reduce(padded << shifts, axis=2).astype(np.uint8)
    return packed
