"""Mirrors native/kernels/linear_a8: every row of kernels.inc against numpy, bit for bit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native.reference_linear import Weight
from native.rows import each_kernel, kernels_here

from lamella import _native
from lamella.formats import WEIGHT_BITS
from native import reference_linear as reference

Real = npt.NDArray[np.float32]

GROUPS = (0, 16, 32, 64, 128)
# Around the 8 rows of a strip, the 16 of two, the 32 columns of a block and the groups.
ROWS = (1, 7, 8, 9, 16, 17, 24)
COLS = (1, 15, 16, 17, 31, 32, 33, 48, 64, 65, 100, 128, 129, 160, 576)
HERE = kernels_here(_native.linear_a8_kernels())

SHARED = settings(derandomize=True, deadline=None, max_examples=60)

kernel = each_kernel(_native.linear_a8_kernels())


def draw(seed: int, bits: int, shape: tuple[int, int], group: int, *, zero: bool) -> Weight:
    generator = np.random.default_rng(seed)
    rows, cols = shape
    grids = (rows, -(-cols // group) if group else 1)
    scale = generator.uniform(-0.1, 0.1, grids)
    return Weight(
        bits,
        group,
        generator.integers(0, 1 << bits, shape, dtype=np.uint8),
        scale.astype(np.float16) if group else scale.astype(np.float32),
        generator.integers(0, 1 << bits, grids, dtype=np.uint8) if zero else None,
    )


def draw_input(seed: int, tokens: int, cols: int) -> Real:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((tokens, cols)) * generator.uniform(0, 3, (tokens, 1))
    return x.astype(np.float32)


def pack(weight: Weight) -> _native.LinearWeight:
    return _native.pack_linear(weight.codes, weight.scale, weight.zero, weight.bits, weight.group)


def check(kernel: _native.LinearKernel, weight: Weight, x: Real, bias: Real | None = None) -> None:
    y = kernel.run(pack(weight), x, bias)
    expected = reference.linear(weight, x, bias)
    np.testing.assert_array_equal(y.view(np.uint32), expected.view(np.uint32), strict=True)


@pytest.mark.parametrize("bits", WEIGHT_BITS)
@pytest.mark.parametrize("shape", [(1, 1), (8, 32), (9, 33), (17, 100), (3, 0), (0, 5)])
def test_packs_like_the_reference(bits: int, shape: tuple[int, int]) -> None:
    for group in GROUPS:
        weight = draw(bits, bits, shape, group, zero=True)
        packed = pack(weight)
        assert (packed.rows, packed.cols, packed.bits, packed.group) == (*shape, bits, group)
        tiles = reference.pack(weight.codes, bits)
        np.testing.assert_array_equal(packed.codes, tiles, strict=True)
        scale = reference.pack_grids(weight.scale, group)
        np.testing.assert_array_equal(packed.scale, scale, strict=True)
        assert weight.zero is not None
        zero = reference.pack_grids(weight.zero, group)
        np.testing.assert_array_equal(packed.zero, zero, strict=True)


def test_a_step_of_4_bits_has_its_first_half_in_the_low_nibbles() -> None:
    codes = np.zeros((8, 32), np.uint8)
    codes[3, 8:16] = range(1, 9)
    tile = pack(Weight(4, 0, codes, np.ones((8, 1), np.float32), None)).codes.reshape(4, 8, 4)
    assert tile[1, 3].tolist() == [0x51, 0x62, 0x73, 0x84]
    assert np.count_nonzero(tile) == 4


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("group", GROUPS)
def test_equals_the_reference(kernel: _native.LinearKernel, group: int, zero: bool) -> None:
    for seed, cols in enumerate(COLS):
        rows, tokens = ROWS[seed % len(ROWS)], 1 + seed % 10
        weight = draw(seed, kernel.bits, (rows, cols), group, zero=zero)
        bias = draw_input(seed, 1, rows)[0] if seed % 2 else None
        check(kernel, weight, draw_input(seed, tokens, cols), bias)


@pytest.mark.parametrize("group", [0, 16, 32])
def test_many_rows_and_columns_equal_the_reference(
    kernel: _native.LinearKernel, group: int
) -> None:
    weight = draw(group, kernel.bits, (141, 1060), group, zero=True)
    check(kernel, weight, draw_input(group, 3, 1060))


@pytest.mark.parametrize("tokens", [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33])
def test_every_number_of_tokens_equals_the_reference(
    kernel: _native.LinearKernel, tokens: int
) -> None:
    for group in (16, 32):
        weight = draw(tokens, kernel.bits, (19, 96), group, zero=True)
        check(kernel, weight, draw_input(tokens, tokens, 96))


@SHARED
@given(
    st.sampled_from(HERE),
    st.tuples(st.integers(0, 40), st.integers(0, 300)),
    st.sampled_from(GROUPS),
    st.integers(0, 12),
    st.integers(0, 2**32),
)
def test_any_shape_equals_the_reference(
    kernel: _native.LinearKernel, shape: tuple[int, int], group: int, tokens: int, seed: int
) -> None:
    weight = draw(seed, kernel.bits, shape, group, zero=bool(seed % 2))
    check(kernel, weight, draw_input(seed, tokens, shape[1]))


@pytest.mark.parametrize("zero", [None, 0, -1])
@pytest.mark.parametrize("sign", ["plus", "minus", "mixed"])
def test_the_largest_sums_are_exact(
    kernel: _native.LinearKernel, sign: str, zero: int | None
) -> None:
    # Every code and every input code at its limit: the most that a narrow sum has to hold.
    top = (1 << kernel.bits) - 1
    codes = np.full((11, 96), top, np.uint8)
    codes[1::2] = 0
    zeros = None if zero is None else np.full((11, 1), zero % (top + 1), np.uint8)
    alternating = np.where(np.arange(96) % 2, 1, -1)
    row = {"plus": alternating**2, "minus": -(alternating**2), "mixed": alternating}[sign]
    x = np.tile(row.astype(np.float32), (5, 1))
    check(kernel, Weight(kernel.bits, 0, codes, np.ones((11, 1), np.float32), zeros), x)


@pytest.mark.parametrize("size", [1e-38, 2.0**-118, 1e-30, 1e30, 3e38])
def test_inputs_and_scales_of_any_size_equal_the_reference(
    kernel: _native.LinearKernel, size: float
) -> None:
    weight = draw(1, kernel.bits, (16, 96), 32, zero=False)
    tiny, large = np.finfo(np.float16).smallest_subnormal, np.finfo(np.float16).max
    weight.scale[:4] = np.array([[tiny], [0], [-tiny], [large]])
    x = draw_input(2, 5, 96)
    x *= np.float32(size) / np.abs(x).max()
    check(kernel, weight, x)


def test_small_float32_scales_equal_the_reference(kernel: _native.LinearKernel) -> None:
    weight = draw(1, kernel.bits, (16, 96), 0, zero=True)
    weight.scale[:] *= np.float32(1e-38)
    check(kernel, weight, draw_input(2, 5, 96))


def test_a_token_that_is_not_finite_gives_nan_and_no_other_does(
    kernel: _native.LinearKernel,
) -> None:
    weight = draw(1, kernel.bits, (9, 64), 32, zero=False)
    x = draw_input(1, 3, 64)
    x[1, 5] = np.inf
    y = kernel.run(pack(weight), x)
    assert (y[1].view(np.uint32) == 0x7FC00000).all()
    assert np.isfinite(y[[0, 2]]).all()


def test_the_number_of_threads_changes_nothing(kernel: _native.LinearKernel) -> None:
    weight = pack(draw(1, kernel.bits, (150, 128), 64, zero=True))
    x = draw_input(1, 9, 128)
    expected = kernel.run(weight, x).tobytes()
    for threads in (1, 2, 3, 4):
        pool = _native.ThreadPool(threads)
        assert all(kernel.run(weight, x, pool=pool).tobytes() == expected for _ in range(5))


def test_callers_may_share_a_pool(kernel: _native.LinearKernel) -> None:
    weight = pack(draw(1, kernel.bits, (150, 128), 64, zero=True))
    x = draw_input(1, 2, 128)
    expected, pool = kernel.run(weight, x), _native.ThreadPool(2)
    with ThreadPoolExecutor(3) as callers:
        results = list(callers.map(lambda _: kernel.run(weight, x, pool=pool), range(12)))
    assert all(np.array_equal(result, expected) for result in results)


@pytest.mark.parametrize("bits", WEIGHT_BITS)
def test_the_error_against_float64_is_within_its_bound(bits: int) -> None:
    weight = draw(5, bits, (40, 1000), 64, zero=True)
    x = draw_input(5, 4, 1000)
    y = _native.linear_a8_kernel(bits).run(pack(weight), x)
    real, exact = weight.decode(), x.astype(np.float64)
    # Half a step of input code per column, and rounding: the step, the fma of each block.
    blocks = -(-1000 // 32)
    step = np.repeat(reference.quantize(x)[1].astype(np.float64), 32, axis=1)[:, :1000]
    quantized = (0.5 + 2**-15) * step @ np.abs(real).T
    rounded = (blocks + 3) * 2.0**-24 * (np.abs(exact) + step) @ np.abs(real).T
    assert (np.abs(y - exact @ real.T) <= quantized + rounded).all()


def test_the_reference_rounds_a_multiply_and_add_once() -> None:
    generator = np.random.default_rng(0)
    a = np.ldexp(generator.uniform(-1, 1, 3000), generator.integers(-140, 60, 3000))
    a = a.astype(np.float32)
    b = generator.integers(-(2**20), 2**20, 3000).astype(np.float32)
    c = draw_input(0, 3, 1000).reshape(-1)
    # Sums that nearly cancel, or that nearly lie in the middle of two floats.
    c[:1000] = -(a * b)[:1000] * np.float32(1 + 2**-20)
    c[1000:2000] = (a * b)[1000:2000] * np.float32(2.0**24)
    for result, *terms in zip(reference.fma(a, b, c), a, b, c, strict=True):
        first, second, third = (Fraction(float(term)) for term in terms)
        exact = first * second + third
        error = abs(Fraction(float(result)) - exact)
        for side in (np.float32(-np.inf), np.float32(np.inf)):
            other = abs(Fraction(float(np.nextafter(result, side))) - exact)
            is_even = int(result.view(np.uint32)) % 2 == 0
            assert error < other or (error == other and is_even), terms


def test_stored_arrays_make_the_same_weight(kernel: _native.LinearKernel) -> None:
    weight = pack(draw(1, kernel.bits, (9, 64), 32, zero=True))
    arrays = (weight.codes.copy(), weight.scale.copy(), weight.zero)
    stored = _native.LinearWeight(9, 64, kernel.bits, 32, *arrays)
    x = draw_input(1, 2, 64)
    np.testing.assert_array_equal(kernel.run(stored, x), kernel.run(weight, x))
    assert stored.codes is arrays[0]


def test_a_weight_of_another_width_is_refused() -> None:
    weight = pack(draw(1, 4, (8, 32), 32, zero=False))
    with pytest.raises(ValueError, match=r"linear_w8a8_portable cannot run a weight of 4 bits"):
        _native.linear_a8_kernels()[-1].run(weight, draw_input(1, 1, 32))
    with pytest.raises(ValueError, match="bits must be 2, 3, 4, 5, 6 or 8, not 7"):
        _native.linear_a8_kernel(7)


def test_inputs_that_do_not_fit_are_refused(kernel: _native.LinearKernel) -> None:
    weight = pack(draw(1, kernel.bits, (8, 40), 32, zero=False))
    x = draw_input(1, 2, 40)
    with pytest.raises(ValueError, match=r"x must have the shape \(2, 40\), not \(2, 39\)"):
        kernel.run(weight, x[:, 1:].copy())
    with pytest.raises(ValueError, match="x must be float32, not float64"):
        kernel.run(weight, x.astype(np.float64))
    with pytest.raises(ValueError, match=r"x must have 2 dimensions, but its shape is \(40,\)"):
        kernel.run(weight, x[0])
    with pytest.raises(ValueError, match="not contiguous or not aligned"):
        kernel.run(weight, np.asfortranarray(x))
    with pytest.raises(ValueError, match=r"bias must have the shape \(8,\), not \(9,\)"):
        kernel.run(weight, x, np.zeros(9, np.float32))


def test_parts_of_a_weight_that_do_not_fit_are_refused() -> None:
    weight = draw(1, 4, (8, 64), 32, zero=True)
    codes, scale, zero = weight.codes, weight.scale, weight.zero
    assert zero is not None
    with pytest.raises(ValueError, match="codes must be uint8, not int8"):
        _native.pack_linear(codes.astype(np.int8), scale, zero, 4, 32)
    with pytest.raises(ValueError, match="codes has the code 16, which does not fit 4 bits"):
        _native.pack_linear(codes + np.uint8(1), scale, zero, 4, 32)
    with pytest.raises(ValueError, match="zero has the code 16, which does not fit 4 bits"):
        _native.pack_linear(codes, scale, np.full_like(zero, 16), 4, 32)
    with pytest.raises(ValueError, match="scale must be float16, not float32"):
        _native.pack_linear(codes, scale.astype(np.float32), zero, 4, 32)
    with pytest.raises(ValueError, match="scale must be float32, not float16"):
        _native.pack_linear(codes, scale, zero, 4, 0)
    with pytest.raises(ValueError, match=r"scale must have the shape \(8, 1\), not \(8, 2\)"):
        _native.pack_linear(codes, scale, zero, 4, 64)
    with pytest.raises(ValueError, match=r"group must be 16, 32, 64, 128, or 0 .*, not 48"):
        _native.pack_linear(codes, scale, zero, 4, 48)
    with pytest.raises(ValueError, match="infinite or not a number"):
        _native.pack_linear(codes, scale * np.float16(np.inf), zero, 4, 32)


def test_stored_arrays_that_do_not_fit_are_refused() -> None:
    weight = pack(draw(1, 4, (8, 64), 32, zero=True))
    codes, scale, zero = weight.codes, weight.scale, weight.zero
    with pytest.raises(ValueError, match=r"codes must have the shape \(2, 2, 128\)"):
        _native.LinearWeight(9, 64, 4, 32, codes, scale, zero)
    with pytest.raises(ValueError, match=r"scale must have the shape \(1, 1, 8\)"):
        _native.LinearWeight(8, 64, 4, 64, codes, scale, zero)
    with pytest.raises(ValueError, match=r"zero must have the shape \(1, 2, 8\)"):
        _native.LinearWeight(8, 64, 4, 32, codes, scale, scale.view(np.uint8))
    with pytest.raises(ValueError, match="rows must be at least 0, not -1"):
        _native.LinearWeight(-1, 64, 4, 32, codes, scale, zero)
    with pytest.raises(ValueError, match="bits must be 2, 3, 4, 5, 6 or 8, not 7"):
        _native.LinearWeight(8, 64, 7, 32, codes, scale, zero)
