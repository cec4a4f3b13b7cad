"""Mirrors native/kernels/pack: every row of kernels.inc against numpy, bit for bit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from native.rows import each_kernel

from lamella import _native
from lamella.formats import WEIGHT_BITS
from native import reference

Bytes = npt.NDArray[np.uint8]

WIDTHS = (1, *WEIGHT_BITS)
# Around the 8 codes of a block, the 32 of a register, and the ends of rows where registers stop.
EDGES = (0, 1, 7, 8, 9, 15, 17, 31, 32, 33, 47, 63, 64, 65, 95, 96, 97, 127, 129, 576)

SHARED = settings(
    derandomize=True,
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

kernel = each_kernel(_native.pack_kernels())


def draw(seed: int, rows: int, cols: int, bits: int) -> Bytes:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 1 << bits, size=(rows, cols), dtype=np.uint8)


@pytest.mark.parametrize("cols", EDGES)
@pytest.mark.parametrize("bits", WIDTHS)
def test_packs_and_unpacks_like_the_reference(
    kernel: _native.PackKernel, bits: int, cols: int
) -> None:
    codes = draw(cols, 3, cols, bits)
    packed = kernel.pack(codes, bits)
    np.testing.assert_array_equal(packed, reference.pack(codes, bits), strict=True)
    np.testing.assert_array_equal(kernel.unpack(packed, cols, bits), codes, strict=True)


@SHARED
@given(st.sampled_from(WIDTHS), st.integers(0, 5), st.integers(0, 200), st.integers(0, 2**32))
def test_any_shape_packs_like_the_reference(
    kernel: _native.PackKernel, bits: int, rows: int, cols: int, seed: int
) -> None:
    codes = draw(seed, rows, cols, bits)
    packed = kernel.pack(codes, bits)
    np.testing.assert_array_equal(packed, reference.pack(codes, bits), strict=True)
    np.testing.assert_array_equal(kernel.unpack(packed, cols, bits), codes, strict=True)


@SHARED
@given(st.sampled_from(WIDTHS), st.integers(0, 5), st.integers(0, 200), st.integers(0, 2**32))
def test_any_bytes_unpack_like_the_reference(
    kernel: _native.PackKernel, bits: int, rows: int, cols: int, seed: int
) -> None:
    # Random bytes also set the bits after the last code, which mean nothing.
    packed = draw(seed, rows, -(-cols * bits // 8), 8)
    expected = reference.unpack(packed, cols, bits)
    np.testing.assert_array_equal(kernel.unpack(packed, cols, bits), expected, strict=True)


@SHARED
@given(
    st.tuples(st.integers(0, 5), st.integers(0, 200)),
    st.sampled_from((8, 16, 32, 128, 200)),
    st.sampled_from((0.0, 0.1, 0.5, 0.9, 1.0)),
    st.integers(0, 2**32),
)
def test_any_mask_compacts_and_expands_like_the_reference(
    kernel: _native.PackKernel,
    shape: tuple[int, int],
    group: int,
    share: float,
    seed: int,
) -> None:
    codes = draw(seed, *shape, 8)
    mask = np.random.default_rng(seed).random(shape) < share
    zero = draw(seed + 1, shape[0], -(-shape[1] // group), 8)
    bitmap = kernel.pack(mask.view(np.uint8), 1)
    kept = kernel.compact(codes, bitmap)
    np.testing.assert_array_equal(kept, reference.compact(codes, mask), strict=True)
    expected = reference.expand(kept, mask, zero, group)
    restored = kernel.expand(kept, bitmap, zero, shape[1], group)
    np.testing.assert_array_equal(restored, expected, strict=True)


def test_the_low_nibble_of_a_byte_is_the_first_of_two_codes(kernel: _native.PackKernel) -> None:
    codes = np.array([[0x1, 0x2, 0x3, 0x4, 0x5]], np.uint8)
    assert kernel.pack(codes, 4).tobytes() == bytes([0x21, 0x43, 0x05])


def test_codes_of_3_bits_cross_bytes_from_the_lowest_bit_up(kernel: _native.PackKernel) -> None:
    codes = np.array([[0b001, 0b010, 0b111]], np.uint8)
    assert kernel.pack(codes, 3).tobytes() == bytes([0b11010001, 0b1])


def test_kernels_run_while_other_threads_do(kernel: _native.PackKernel) -> None:
    codes = draw(0, 64, 4096, 4)
    expected = kernel.pack(codes, 4)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: kernel.pack(codes, 4), range(8)))
    assert all(np.array_equal(result, expected) for result in results)


@pytest.mark.parametrize("bits", [-1, 0, 7, 9, 64])
def test_a_width_that_no_format_has_is_refused(kernel: _native.PackKernel, bits: int) -> None:
    with pytest.raises(ValueError, match=rf"bits must be one of 1, 2, .*, not {bits}"):
        kernel.pack(draw(0, 1, 8, 1), bits)
    with pytest.raises(ValueError, match=rf"bits must be one of 1, 2, .*, not {bits}"):
        kernel.unpack(draw(0, 1, 8, 1), 8, bits)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6])
def test_a_code_that_is_too_wide_is_refused_and_named(
    kernel: _native.PackKernel, bits: int
) -> None:
    codes = np.zeros((3, 40), np.uint8)
    codes[1, 37] = 1 << bits
    with pytest.raises(ValueError, match=rf"code {1 << bits} at row 1, column 37 does not fit"):
        kernel.pack(codes, bits)


def test_arrays_of_another_kind_are_refused(kernel: _native.PackKernel) -> None:
    codes = draw(0, 4, 16, 2)
    with pytest.raises(ValueError, match="codes must be uint8, not int8"):
        kernel.pack(codes.astype(np.int8), 2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"2 dimensions, but its shape is \(64,\)"):
        kernel.pack(codes.reshape(-1), 2)
    with pytest.raises(ValueError, match=r"\(16, 4\) is not contiguous"):
        kernel.pack(codes.T, 2)
    with pytest.raises(TypeError):
        kernel.pack([[1, 2]], 2)  # type: ignore[arg-type]


def test_arrays_of_a_wrong_shape_are_refused(kernel: _native.PackKernel) -> None:
    packed = draw(0, 2, 5, 8)
    with pytest.raises(ValueError, match=r"packed must have the shape \(2, 6\), not \(2, 5\)"):
        kernel.unpack(packed, 12, 4)
    with pytest.raises(ValueError, match="cols must be at least 0, not -1"):
        kernel.unpack(packed, -1, 4)
    # 4 * cols overflows 64 bits; the row must still be seen as too short.
    with pytest.raises(ValueError, match="packed must have the shape"):
        kernel.unpack(packed, 2**62 + 10, 4)
    with pytest.raises(ValueError, match=r"mask must have the shape \(2, 2\), not \(2, 1\)"):
        kernel.compact(draw(0, 2, 9, 8), packed[:, :1].copy())


def test_kept_codes_and_zeros_must_fit_the_mask(kernel: _native.PackKernel) -> None:
    mask = np.array([[0b101], [0b1]], np.uint8)
    kept, zero = np.arange(3, dtype=np.uint8), np.zeros((2, 1), np.uint8)
    assert kernel.expand(kept, mask, zero, 3, 3).tolist() == [[0, 0, 1], [2, 0, 0]]
    with pytest.raises(ValueError, match="mask keeps 3 codes, but kept holds 2"):
        kernel.expand(kept[:2], mask, zero, 3, 3)
    with pytest.raises(ValueError, match=r"zero must have the shape \(2, 1\), not \(1, 1\)"):
        kernel.expand(kept, mask, zero[:1], 3, 3)
    with pytest.raises(ValueError, match="group must be at least 1, not 0"):
        kernel.expand(kept, mask, zero, 3, 0)
    with pytest.raises(ValueError, match="group must be a multiple of 8 or at least 3, not 2"):
        kernel.expand(kept, mask, np.zeros((2, 2), np.uint8), 3, 2)


def test_bits_after_the_last_column_of_a_mask_keep_nothing(kernel: _native.PackKernel) -> None:
    codes = np.array([[1, 2, 3]], np.uint8)
    assert kernel.compact(codes, np.array([[0b11111010]], np.uint8)).tolist() == [2]
