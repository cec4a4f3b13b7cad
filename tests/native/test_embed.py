"""Mirrors native/kernels/embed: rows of packed and of plain tables."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from native.reference_float import bits, draw, draw_bits
from native.reference_linear import Weight
from native.rows import each_kernel

from lamella import _native
from lamella.formats import WEIGHT_BITS

Ids = npt.NDArray[np.int32]

COLS = (1, 31, 32, 33, 64, 65, 100, 129, 576)

kernel = each_kernel(_native.embed_kernels())


def draw_weight(width: int, rows: int, cols: int, group: int, *, zero: bool) -> Weight:
    generator = np.random.default_rng(cols + width)
    grids = (rows, -(-cols // group) if group else 1)
    scale = generator.uniform(-0.1, 0.1, grids)
    return Weight(
        width,
        group,
        generator.integers(0, 1 << width, (rows, cols), dtype=np.uint8),
        scale.astype(np.float16) if group else scale.astype(np.float32),
        generator.integers(0, 1 << width, grids, dtype=np.uint8) if zero else None,
    )


def pack(weight: Weight) -> _native.LinearWeight:
    return _native.pack_linear(weight.codes, weight.scale, weight.zero, weight.bits, weight.group)


def shuffled(rows: int) -> Ids:
    """Returns every row in some order, and the last three times."""
    ids = np.random.default_rng(rows).permutation(rows).astype(np.int32)
    return np.append(ids, np.full(2, rows - 1, np.int32))


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("group", [0, 16, 32, 64, 128])
@pytest.mark.parametrize("width", WEIGHT_BITS)
def test_a_packed_table_gives_its_weights(
    kernel: _native.EmbedKernel, width: int, group: int, zero: bool
) -> None:
    for number, cols in enumerate(COLS):
        rows = (1, 8, 9, 17)[number % 4]
        weight, ids = draw_weight(width, rows, cols, group, zero=zero), shuffled(rows)
        # A scale times a code is exact in float64, so that this rounds once.
        expected = weight.decode().astype(np.float32)[ids]
        y = kernel.run(pack(weight), ids)
        np.testing.assert_array_equal(y, expected, strict=True)


@pytest.mark.parametrize("width", WEIGHT_BITS)
def test_the_head_of_a_model_reads_the_same_bytes(kernel: _native.EmbedKernel, width: int) -> None:
    table = pack(draw_weight(width, 24, 64, 32, zero=True))
    rows = kernel.run(table, np.arange(24, dtype=np.int32))
    # Inputs that linear_a8 takes without an error: codes of 127 times a power of two.
    chosen = np.zeros((64, 64), np.float32)
    np.fill_diagonal(chosen, 127 * 2.0**-7)
    columns = _native.linear_a8_kernel(width).run(table, chosen)
    np.testing.assert_allclose(columns.T, rows * np.float32(127 * 2.0**-7), rtol=2.0**-22)


@pytest.mark.parametrize("cols", [0, 1, 15, 64, 100])
def test_plain_tables_give_their_values(kernel: _native.EmbedKernel, cols: int) -> None:
    ids = shuffled(9)
    single = draw_bits(cols, 9, cols)
    np.testing.assert_array_equal(bits(kernel.run(single, ids)), bits(single[ids]))
    half = draw(cols, 9, cols, scale=1000).astype(np.float16)
    np.testing.assert_array_equal(kernel.run(half, ids), half.astype(np.float32)[ids])


def test_every_half_float_is_exact(kernel: _native.EmbedKernel) -> None:
    table = np.arange(2**16, dtype=np.uint16).view(np.float16).reshape(256, 256)
    y = kernel.run(table, np.arange(256, dtype=np.int32))
    assert np.isnan(y[np.isnan(table)]).all()
    number = ~np.isnan(table)
    np.testing.assert_array_equal(bits(y[number]), bits(table[number].astype(np.float32)))


def test_the_number_of_threads_changes_nothing(kernel: _native.EmbedKernel) -> None:
    table, ids = pack(draw_weight(4, 40, 100, 32, zero=True)), shuffled(40)
    expected = kernel.run(table, ids).tobytes()
    for threads in (1, 2, 3, 50):
        assert kernel.run(table, ids, _native.ThreadPool(threads)).tobytes() == expected
    assert kernel.run(table, ids[:0]).shape == (0, 100)


def test_ids_outside_the_table_are_refused(kernel: _native.EmbedKernel) -> None:
    tables = [pack(draw_weight(4, 9, 40, 32, zero=False)), draw(1, 9, 40)]
    for table in tables:
        for wrong in (-1, 9, 2**31 - 1):
            ids = np.array([0, 8, wrong], np.int32)
            with pytest.raises(ValueError, match=rf"id {wrong} of token 2 is outside .* 9 rows"):
                kernel.run(table, ids)
        with pytest.raises(ValueError, match="id must be int32, not int64"):
            kernel.run(table, np.zeros(2, np.int64))
        with pytest.raises(ValueError, match=r"id must have 1 dimensions, .* \(1, 2\)"):
            kernel.run(table, np.zeros((1, 2), np.int32))


def test_tables_that_are_none_are_refused(kernel: _native.EmbedKernel) -> None:
    ids = np.zeros(1, np.int32)
    with pytest.raises(ValueError, match="table must be float32, float16 or a LinearWeight"):
        kernel.run(np.zeros((3, 4)), ids)
    with pytest.raises(ValueError, match=r"table must have 2 dimensions, but its shape is \(4,\)"):
        kernel.run(np.zeros(4, np.float32), ids)
    with pytest.raises(ValueError, match="not contiguous or not aligned"):
        kernel.run(np.zeros((3, 4), np.float32).T, ids)
