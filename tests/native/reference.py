"""The packed layout of native/KERNELS.md, written with whole arrays of single bits.

Shapes: codes (rows, cols) uint8, mask (rows, cols) bool, zero (rows, groups) uint8.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def pack(codes: Bytes, bits: int) -> Bytes:
    """Returns (rows, ceil(cols * bits / 8)) bytes."""
    single = (codes[:, :, None] >> np.arange(bits, dtype=np.uint8)) & 1
    return np.packbits(single.reshape(len(codes), codes.shape[1] * bits), axis=1, bitorder="little")


def unpack(packed: Bytes, cols: int, bits: int) -> Bytes:
    """Returns (rows, cols) codes."""
    single = np.unpackbits(packed, axis=1, count=cols * bits, bitorder="little")
    places = single.reshape(len(packed), cols, bits).astype(np.uint16) << np.arange(bits)
    return places.sum(axis=2).astype(np.uint8)


def compact(codes: Bytes, mask: Mask) -> Bytes:
    """Returns the kept codes, row by row."""
    return codes[mask]


def expand(kept: Bytes, mask: Mask, zero: Bytes, group: int) -> Bytes:
    """Returns (rows, cols) codes; what is not kept is the zero code of its group."""
    codes = np.repeat(zero, group, axis=1)[:, : mask.shape[1]].copy()
    codes[mask] = kept
    return codes
