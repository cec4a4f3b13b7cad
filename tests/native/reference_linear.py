"""The contract of native/kernels/linear_a8 and linear_input with whole numpy arrays.

Every float32 operation is rounded once, as on a processor. Shapes, with blocks = ceil(cols / 32):
codes (rows, cols) uint8, scale and zero (rows, groups), x (tokens, cols) float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Real = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]

STRIP, BLOCK = 8, 32
# Columns 4 * s to 4 * s + 3 of a block are step s. The places of its bits, from the lowest: each
# is 8 * vector + bit in a byte of that vector.
PLACES = {
    2: [[8 * (s // 4) + s % 4 * 2 + bit for bit in range(2)] for s in range(8)],
    3: [[8 * (s // 2) + s % 2 * 4 + bit for bit in range(3)] for s in range(6)]
    + [[3, 11, 19], [7, 15, 23]],
    4: [[8 * (s // 2) + s % 2 * 4 + bit for bit in range(4)] for s in range(8)],
    5: [[8 * s + bit for bit in range(5)] for s in range(5)]
    + [[5, 6, 7, 13, 14], [21, 22, 23, 29, 30], [37, 38, 39, 15, 31]],
    6: [[8 * s + bit for bit in range(6)] for s in range(6)]
    + [[6, 7, 14, 15, 22, 23], [30, 31, 38, 39, 46, 47]],
    8: [[8 * s + bit for bit in range(8)] for s in range(8)],
}


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight before packing; `zero` is None where every zero point is 2^(bits-1).

    `scale` is float16 with groups of `group` columns, or float32 with one column and `group` 0.
    """

    bits: int
    group: int
    codes: Bytes
    scale: npt.NDArray[np.float16] | npt.NDArray[np.float32]
    zero: Bytes | None

    def zeros(self) -> Ints:
        """Returns the (rows, groups) zero points."""
        if self.zero is None:
            return np.full(self.scale.shape, 1 << (self.bits - 1))
        return self.zero.astype(np.int64)

    def decode(self) -> Wide:
        """Returns the (rows, cols) real weights, in float64 and exact."""
        cols = self.codes.shape[1]
        scale = np.repeat(self.scale.astype(np.float64), self.group or cols, axis=1)[:, :cols]
        zero = np.repeat(self.zeros(), self.group or cols, axis=1)[:, :cols]
        return scale * (self.codes.astype(np.float64) - zero)


def pack(codes: Bytes, bits: int) -> Bytes:
    """Returns the tiles, (strips, blocks, 32 * bits) bytes."""
    rows, cols = codes.shape
    padded = np.pad(codes, ((0, -rows % STRIP), (0, -cols % BLOCK)))
    steps = padded.reshape(-(-rows // STRIP), STRIP, -(-cols // BLOCK), 8, 4)
    steps = steps.transpose(0, 2, 3, 1, 4)
    tiles = np.zeros((*steps.shape[:2], bits, STRIP * 4), np.uint8)
    for step, places in enumerate(PLACES[bits]):
        codes = steps[:, :, step].reshape(*steps.shape[:2], STRIP * 4)
        for bit, place in enumerate(places):
            tiles[:, :, place // 8] |= (codes >> bit & 1) << place % 8
    return tiles.reshape(*tiles.shape[:2], 32 * bits)


def pack_grids(grids: npt.NDArray[np.generic], group: int) -> npt.NDArray[np.generic]:
    """Returns (strips, groups, 8); groups of 16 are filled up to whole blocks."""
    odd = grids.shape[1] % 2 if group == 16 else 0
    padded = np.pad(grids, ((0, -len(grids) % STRIP), (0, odd)))
    strips = padded.reshape(len(padded) // STRIP, STRIP, padded.shape[1])
    return np.ascontiguousarray(strips.transpose(0, 2, 1))


def quantize(x: Real) -> tuple[Ints, Real]:
    """Returns codes (tokens, blocks, 32), 0 after the last column, and scale (tokens, blocks)."""
    tokens, cols = x.shape
    blocks = -(-cols // BLOCK)
    padded = np.pad(x, ((0, 0), (0, -cols % BLOCK))).reshape(tokens, blocks, BLOCK)
    usable = np.isfinite(padded).all(axis=2)
    finite = np.where(np.expand_dims(usable, 2), padded, np.float32(0))
    largest = np.abs(finite).max(axis=2, initial=0)
    empty = largest < np.float32(2.0**-120)
    divisor = np.where(empty, np.float32(1), largest)
    inverse = np.where(empty, np.float32(0), np.float32(127) / divisor)
    codes = np.rint(finite * inverse[..., None]).astype(np.int64)
    scale = np.where(empty, np.float32(0), largest / np.float32(127))
    return codes, np.where(usable, scale, np.float32(np.nan))


def fma(a: Real, b: Real, c: Real) -> Real:
    """Returns a * b + c, rounded once to float32; a * b must be exact in float64, as it always is.

    The sum is rounded to odd in float64, which makes the second rounding harmless: Boldo and
    Melquiond 2008, "Emulation of FMA and correctly rounded sums", theorem 3.
    """
    product, addend = a.astype(np.float64) * b.astype(np.float64), c.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        total = product + addend
        part = total - addend
        error = (product - part) + (addend - (total - part))
        bits = total.view(np.int64)
        away = np.where((error > 0) == (total > 0), 1, -1)
        inexact = np.isfinite(error) & (error != 0)
        odd = np.where(inexact & (bits & 1 == 0), bits + away, bits)
        rounded: Real = odd.view(np.float64).astype(np.float32)
    return rounded


def linear(weight: Weight, x: Real, bias: Real | None = None) -> Real:
    """Returns (tokens, rows)."""
    rows, cols = weight.codes.shape
    inputs, input_scale = quantize(x)
    per_group = weight.scale.astype(np.float32)
    codes = np.pad(weight.codes, ((0, 0), (0, -cols % BLOCK))).astype(np.int64)
    y = np.zeros((len(x), rows), np.float32)
    # Columns that share a scale of the weight and one of the input.
    width = 16 if weight.group == 16 else BLOCK
    # A block may have no column in its second half: the group there has the scale 0.
    per_group, zeros = (np.pad(part, ((0, 0), (0, 1))) for part in (per_group, weight.zeros()))
    for start in range(0, codes.shape[1], width):
        block, first = divmod(start, BLOCK)
        grid = start // weight.group if weight.group else 0
        part = inputs[:, block, first : first + width]
        dot = part @ codes[:, start : start + width].T
        dot -= part.sum(axis=1)[:, None] * zeros[:, grid]
        with np.errstate(under="ignore", over="ignore", invalid="ignore"):
            step = input_scale[:, block, None] * per_group[None, :, grid]
            y = fma(step, dot.astype(np.float32), y)
    if bias is not None:
        y = y + bias
    return np.where(np.isnan(y), np.float32(np.nan), y)
