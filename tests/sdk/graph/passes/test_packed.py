"""Mirrors sdk/lamella/graph/passes/packed.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lamella.errors import LoweringError
from lamella.formats import WEIGHT_BITS, parse
from lamella.graph.passes.packed import PLANES, pack, planes
from lamella.grids import Grid, Quantized, quantize


def bit_string(codes: np.ndarray, width: int) -> np.ndarray:
    """Packs fields the slow way: one text of bits a row, first field in the lowest bits."""
    rows = []
    for row in codes:
        bits = "".join(f"{int(field):0{width}b}"[::-1] for field in row)
        bits += "0" * (-len(bits) % 8)
        rows.append([int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8)])
    return np.array(rows, np.uint8)


@pytest.mark.parametrize("bits", WEIGHT_BITS)
@pytest.mark.parametrize("cols", [1, 7, 8, 33])
def test_planes_are_the_bits_of_the_codes_in_order(bits: int, cols: int) -> None:
    codes = np.random.default_rng(bits).integers(0, 2**bits, (3, cols)).astype(np.uint8)
    low = PLANES[bits][0]
    expected = [bit_string(codes & (2**low - 1), low)]
    if len(PLANES[bits]) > 1:
        expected.append(bit_string(codes >> low, bits - low))
    for plane, wanted in zip(planes(codes, bits), expected, strict=True):
        np.testing.assert_array_equal(plane, wanted)


@pytest.mark.parametrize("format_id", ["w4g32", "w4g32z", "w2g16z", "w8", "w8g64z", "w3g32z"])
def test_the_packed_size_is_what_the_format_promises(format_id: str) -> None:
    weight = quantize(
        np.random.default_rng(0).standard_normal((6, 64)).astype(np.float32), parse(format_id)
    )
    packed = pack(weight, "layer")
    # A row of an odd width may start a new byte in each of its two planes.
    slack = 6 * 2 * (len(packed.planes) - 1)
    promised = weight.format.nbytes(6, 64)
    assert promised <= packed.nbytes <= promised + slack


def test_a_scale_that_is_no_float16_is_refused_by_layer() -> None:
    format = parse("w4g16")
    grid = Grid(np.full((2, 1), 0.1, np.float32), np.full((2, 1), 8, np.uint8))
    weight = Quantized(format, np.zeros((2, 16), np.uint8), grid)
    with pytest.raises(LoweringError, match=r"encoder\.fc.*float16"):
        pack(weight, "encoder.fc")


def test_a_code_that_needs_more_bits_is_refused() -> None:
    weight = quantize(np.ones((2, 16), np.float32), parse("w4g16"))
    with pytest.raises(LoweringError, match="16 does not fit 4 bits"):
        pack(replace(weight, codes=np.full((2, 16), 16, np.uint8)), "layer")


def test_a_moved_zero_point_of_a_symmetric_format_is_refused() -> None:
    weight = quantize(np.ones((2, 16), np.float32), parse("w4g16"))
    moved = Grid(weight.grid.scale, np.full((2, 1), 3, np.uint8))
    with pytest.raises(LoweringError, match="w4g16z"):
        pack(replace(weight, grid=moved), "layer")
