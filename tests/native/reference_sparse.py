"""The layout of native/kernels/sparse_linear_a8 with whole numpy arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from native.reference_linear import BLOCK, STRIP, Bytes, Weight

Mask = npt.NDArray[np.bool_]
PADDING = 64


def fill(weight: Weight, keep: Mask) -> Weight:
    """Returns the weight with the zero point of its group wherever a code is not kept."""
    cols = weight.codes.shape[1]
    grids = np.arange(cols) // (weight.group or max(cols, 1))
    return replace(
        weight, codes=np.where(keep, weight.codes, weight.zeros()[:, grids]).astype(np.uint8)
    )


def pairs(matrix: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Returns the 64 places of each pair of steps: (strips, blocks, 4, 64)."""
    rows, cols = matrix.shape
    padded = np.pad(matrix, ((0, -rows % STRIP), (0, -cols % BLOCK)))
    steps = padded.reshape(-(-rows // STRIP), STRIP, -(-cols // BLOCK), 8, 4)
    tiles = steps.transpose(0, 2, 3, 1, 4)
    return tiles.reshape(*tiles.shape[:2], 4, 64)


def pack(
    codes: Bytes, keep: Mask, bits: int
) -> tuple[Bytes, npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
    """Returns codes, masks (strips, blocks, 4) and starts (strips, blocks)."""
    places, kept = pairs(codes), pairs(keep).astype(bool)
    masks = np.packbits(kept, axis=3, bitorder="little").view(np.uint64)[..., 0]
    parts, sizes = [], []
    for pair, mask in zip(places.reshape(-1, 64), kept.reshape(-1, 64), strict=True):
        stored = pair[mask].astype(np.uint8)
        if bits == 4:
            stored = np.pad(stored, (0, len(stored) % 2))
            stored = stored[::2] | stored[1::2] << 4
        parts.append(stored)
        sizes.append(len(stored))
    tiles = np.array(sizes, np.int64).reshape(-1, 4).sum(axis=1)
    starts = (np.cumsum(tiles) - tiles).astype(np.uint32).reshape(masks.shape[:2])
    return np.concatenate([*parts, np.zeros(PADDING, np.uint8)]).astype(np.uint8), masks, starts
