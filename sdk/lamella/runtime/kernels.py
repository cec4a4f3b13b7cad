"""Packing: a quantized weight as bytes, by the kernels of this processor.

The layout is the same on every processor; `native/KERNELS.md` describes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lamella import _native
from lamella.errors import ArtifactError, CompressionError
from lamella.formats import Format, parse
from lamella.grids import Code, Grid, Mask, Quantized, columns

Bytes = npt.NDArray[np.uint8]
Scale = npt.NDArray[np.float16] | npt.NDArray[np.float32]

_KERNEL = _native.pack_kernel()


@dataclass(frozen=True, slots=True)
class Packed:
    """One (rows, cols) weight as it is stored; `nbytes` counts every byte of it.

    Shapes, with bytes_of(count) = ceil(count * bits / 8) and groups = ceil(cols / group):
    `codes` (rows, bytes_of(cols)), or (1, bytes_of(kept)) where a mask is stored;
    `scale` (rows, groups), float16 for groups and float32 for whole rows;
    `zero` (rows, bytes_of(groups)), None for a symmetric format;
    `mask` (rows, ceil(cols / 8)) with a 1 for each kept weight, or None.
    `format` is the canonical id. A mask is stored only where bitmap and kept codes are smaller
    than all codes; elsewhere masked weights are codes that stand for 0.0.
    """

    format: str
    rows: int
    cols: int
    codes: Bytes
    scale: Scale
    zero: Bytes | None = None
    mask: Bytes | None = None

    @property
    def nbytes(self) -> int:
        """Returns the stored size in bytes."""
        parts = (self.codes, self.scale, self.zero, self.mask)
        return sum(part.nbytes for part in parts if part is not None)


def pack(quantized: Quantized) -> Packed:
    """Packs codes, grids and mask; `unpack` restores weights that decode to the same numbers.

    Raises:
        CompressionError: the parts do not fit each other: a shape, a scale that the format cannot
            store, a zero point off the middle of a symmetric grid, or a masked code that does not
            stand for 0.0.
    """
    _check(quantized)
    format, codes = quantized.format, quantized.codes
    rows, cols = codes.shape
    zero = None if format.symmetric else _KERNEL.pack(_contiguous(quantized.grid.zero), format.bits)
    mask = _stored_mask(quantized)
    kept = codes if mask is None else _KERNEL.compact(_contiguous(codes), mask)[None]
    return Packed(
        format.id,
        rows,
        cols,
        codes=_KERNEL.pack(_contiguous(kept), format.bits),
        scale=stored_scale(quantized),
        zero=zero,
        mask=mask,
    )


def unpack(packed: Packed) -> Quantized:
    """Restores what `pack` stored; a mask that was not worth storing is None.

    Raises:
        ArtifactError: the arrays do not have the shapes that format, rows and cols ask for.
    """
    format = parse(packed.format)
    try:
        zero = _unpack_zero(packed, format)
        codes = _unpack_codes(packed, format, zero)
        mask = None
        if packed.mask is not None:
            mask = _KERNEL.unpack(_contiguous(packed.mask), packed.cols, 1).astype(np.bool_)
    except ValueError as error:
        raise ArtifactError(
            f"a packed {packed.format} weight of {packed.rows} x {packed.cols} is damaged: {error}"
        ) from error
    return Quantized(format, codes, Grid(packed.scale.astype(np.float32), zero), mask)


def stored_scale(quantized: Quantized) -> Scale:
    """Returns the (rows, groups) scales as float16 for groups and as float32 for whole rows."""
    scale = quantized.grid.scale
    if quantized.format.scale_bits == 16:
        return scale.astype(np.float16)
    return scale.astype(np.float32)


def _unpack_zero(packed: Packed, format: Format) -> Code:
    if format.is_float:
        raise ValueError("a floating point format has no codes")
    shape = (packed.rows, format.groups(packed.cols))
    if packed.scale.shape != shape:
        raise ValueError(f"scale must have the shape {shape}, not {packed.scale.shape}")
    if packed.zero is None:
        if not format.symmetric:
            raise ValueError("an asymmetric format needs zero points")
        return np.full(shape, format.levels // 2, np.uint8)
    zero = _KERNEL.unpack(_contiguous(packed.zero), shape[1], format.bits)
    if zero.shape != shape:
        raise ValueError(f"zero must have {shape[0]} rows, not {len(zero)}")
    return zero


def _unpack_codes(packed: Packed, format: Format, zero: Code) -> Code:
    stored = _contiguous(packed.codes)
    if packed.mask is None:
        codes = _KERNEL.unpack(stored, packed.cols, format.bits)
        if len(codes) != packed.rows:
            raise ValueError(f"codes must have {packed.rows} rows, not {len(codes)}")
        return codes
    bitmap = _contiguous(packed.mask)
    count = int(np.bitwise_count(bitmap).sum())
    kept = _KERNEL.unpack(stored, count, format.bits).reshape(-1)
    return _KERNEL.expand(kept, bitmap, zero, packed.cols, format.group or packed.cols)


def _stored_mask(quantized: Quantized) -> Bytes | None:
    """Returns the bitmap, or None where all codes are not larger than bitmap and kept codes."""
    format, mask = quantized.format, quantized.mask
    if mask is None or format.sparsity is None:
        return None
    rows, cols = mask.shape
    kept = int(np.count_nonzero(mask))
    if format.nbytes(rows, cols, kept) == format.dense.nbytes(rows, cols):
        return None
    return _KERNEL.pack(_contiguous(mask.view(np.uint8)), 1)


def _check(quantized: Quantized) -> None:
    format, codes, grid = quantized.format, quantized.codes, quantized.grid
    if format.is_float or codes.ndim != 2 or codes.dtype != np.uint8:
        raise CompressionError(
            f"a {format.id} weight of {codes.dtype} codes of shape {codes.shape} cannot be packed; "
            "it must be an integer format with (rows, cols) uint8 codes"
        )
    shape = (len(codes), format.groups(codes.shape[1]))
    if grid.scale.shape != shape or grid.zero.shape != shape:
        raise CompressionError(
            f"{format.id} codes of shape {codes.shape} need grids of shape {shape}, not scales "
            f"{grid.scale.shape} and zeros {grid.zero.shape}"
        )
    if codes.size and max(codes.max(), grid.zero.max()) >= format.levels:
        raise CompressionError(f"{format.id} has the codes 0 to {format.levels - 1} only")
    if not np.array_equal(stored_scale(quantized).astype(np.float32), grid.scale):
        raise CompressionError(f"a scale of a {format.id} weight is not exactly a float16")
    if format.symmetric and (grid.zero != format.levels // 2).any():
        raise CompressionError(f"a zero point of a {format.id} weight is not {format.levels // 2}")
    _check_mask(quantized)


def _check_mask(quantized: Quantized) -> None:
    mask, codes = quantized.mask, quantized.codes
    if mask is None:
        return
    if mask.shape != codes.shape or mask.dtype != np.bool_:
        raise CompressionError(
            f"a mask of {mask.dtype} and shape {mask.shape} does not fit codes of {codes.shape}"
        )
    zero = columns(quantized.grid.zero, quantized.format, codes.shape[1])
    wrong = np.argwhere(~mask & (codes != zero))
    if len(wrong):
        raise CompressionError(
            f"the weight at row {wrong[0][0]}, column {wrong[0][1]} is masked, but its code "
            "does not stand for 0.0"
        )


def _contiguous(array: Code | Mask) -> Bytes:
    return np.ascontiguousarray(array, dtype=np.uint8)
