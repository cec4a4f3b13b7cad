"""Mirrors sdk/lamella/grids.py; the oracle is float64 numpy written group by group."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamella import grids
from lamella.formats import GROUPS, WEIGHT_BITS, Format, parse

Real = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]

FORMATS = [
    Format(bits, group, symmetric)
    for bits in WEIGHT_BITS
    for group in (0, 16, 64)
    for symmetric in (True, False)
]
# float16 rounds a scale down by at most 2^-11 of it; float32 arithmetic adds less than 2^-20.
SHORT = 2.0**-11
NOISE = 2.0**-20


def weights(rows: int, cols: int, seed: int = 0, magnitude: float = 1.0) -> Real:
    generator = np.random.default_rng(seed)
    return (generator.standard_normal((rows, cols)) * magnitude).astype(np.float32)


def each_group(format: Format, cols: int) -> list[slice]:
    size = format.group or cols
    return [slice(start, min(start + size, cols)) for start in range(0, cols, size)]


def nearest_on_grid(values: Real, scale: float, zero: int, levels: int) -> Wide:
    """Returns the closest of all numbers that the grid has, by trying each."""
    points = (np.arange(levels, dtype=np.float64) - zero) * scale
    distance = np.abs(values.astype(np.float64)[:, None] - points)
    return points[distance.argmin(axis=1)]


@pytest.mark.parametrize("cols", [1, 16, 70, 128])
@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.id)
def test_every_weight_becomes_the_closest_number_of_its_grid(format: Format, cols: int) -> None:
    weight = weights(3, cols)
    found = grids.quantize(weight, format)
    real = found.decode()
    assert real.dtype == np.float32
    for row in range(3):
        for group, part in enumerate(each_group(format, cols)):
            scale, zero = float(found.grid.scale[row, group]), int(found.grid.zero[row, group])
            best = nearest_on_grid(weight[row, part], scale, zero, format.levels)
            here = np.abs(real[row, part] - weight[row, part].astype(np.float64))
            least = np.abs(best - weight[row, part])
            assert (here <= least + NOISE * abs(scale) * format.levels).all()


@pytest.mark.parametrize("cols", [1, 16, 70, 128])
@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.id)
def test_the_error_is_half_a_step_where_the_range_reaches(format: Format, cols: int) -> None:
    weight = weights(4, cols)
    found = grids.quantize(weight, format)
    scale = np.abs(grids.columns(found.grid.scale, format, cols))
    error = np.abs(found.decode() - weight)
    # Half a step of rounding, and what the last code falls short where float16 rounds down.
    half = scale * (0.5 + SHORT * format.levels) * (1 + NOISE)
    # The shorter side of a symmetric grid ends one step before the largest magnitude.
    side = np.sign(grids.columns(found.grid.scale, format, cols)) == np.sign(weight)
    whole = scale * (1 + SHORT * format.levels) * (1 + NOISE)
    assert (error <= np.where(side & format.symmetric, whole, half)).all()


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.id)
def test_the_grid_is_the_one_of_the_textbook(format: Format) -> None:
    cols = 70
    weight = weights(3, cols, seed=1)
    grid = grids.fit(weight, format)
    for row in range(3):
        for group, part in enumerate(each_group(format, cols)):
            values = weight[row, part].astype(np.float64)
            if format.symmetric:
                scale = -values[np.abs(values).argmax()] / (format.levels / 2)
                assert grid.zero[row, group] == format.levels // 2
            else:
                scale = (max(values.max(), 0) - min(values.min(), 0)) / (format.levels - 1)
                zero = round(-min(values.min(), 0) / float(grid.scale[row, group]))
                assert grid.zero[row, group] == zero
            bound = (SHORT if format.group else NOISE) * abs(scale)
            assert abs(float(grid.scale[row, group]) - scale) <= bound


@pytest.mark.parametrize("search", [False, True])
@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.id)
def test_zero_stays_exactly_zero(format: Format, search: bool) -> None:
    weight = weights(4, 128)
    weight[:, ::3] = 0
    real = grids.quantize(weight, format, search=search).decode()
    assert (real[:, ::3] == 0).all()


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.id)
def test_zero_is_on_the_grid_of_weights_of_one_sign(format: Format, sign: int) -> None:
    weight = sign * (np.abs(weights(2, 64)) + np.float32(5))
    found = grids.quantize(weight, format)
    assert (found.grid.zero < format.levels).all()
    assert (grids.decode(found.grid.zero, found.grid, Format(format.bits, 1)) == 0).all()


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.id)
def test_encoding_what_was_decoded_changes_no_code(format: Format) -> None:
    found = grids.quantize(weights(4, 100), format, search=True)
    again = grids.encode(found.decode(), found.grid, format)
    np.testing.assert_array_equal(again, found.codes, strict=True)


@pytest.mark.parametrize("format", [f for f in FORMATS if f.symmetric], ids=lambda f: f.id)
def test_a_symmetric_grid_is_found_again_from_its_own_numbers(format: Format) -> None:
    found = grids.quantize(weights(4, 100), format)
    again = grids.fit(found.decode(), format)
    np.testing.assert_array_equal(again.scale, found.grid.scale, strict=True)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.id)
def test_a_search_is_never_worse_than_the_full_range(format: Format, weighted: bool) -> None:
    cols = 100
    weight = weights(6, cols, seed=2)
    importance = np.exp(2 * weights(1, cols, seed=3))[0]
    given = importance if weighted else None
    plain = grids.quantize(weight, format)
    searched = grids.quantize(weight, format, search=True, importance=given)
    factor = importance.astype(np.float64) if weighted else np.ones(cols)
    for part in each_group(format, cols):
        before = (factor * (plain.decode() - weight).astype(np.float64) ** 2)[:, part].sum(axis=1)
        after = (factor * (searched.decode() - weight).astype(np.float64) ** 2)[:, part].sum(axis=1)
        # The search sums in float32.
        assert (after <= before * (1 + cols * 2.0**-23)).all()


def test_a_search_pays_at_few_bits() -> None:
    weight, format = weights(8, 256), parse("w2g64")
    plain = np.square(grids.quantize(weight, format).decode() - weight).sum()
    searched = np.square(grids.quantize(weight, format, search=True).decode() - weight).sum()
    assert searched < 0.9 * plain


def test_importance_draws_precision_to_a_column() -> None:
    weight, format = weights(16, 64, seed=4), parse("w3g64")
    importance = np.ones(64, np.float32)
    importance[5] = 1e4
    plain = grids.quantize(weight, format, search=True).decode()
    drawn = grids.quantize(weight, format, search=True, importance=importance).decode()
    assert np.square(drawn - weight)[:, 5].sum() < 0.5 * np.square(plain - weight)[:, 5].sum()


@pytest.mark.parametrize("name", ["w4g32", "w8g32z", "w4", "w3z"])
def test_columns_beyond_the_last_do_not_change_a_short_group(name: str) -> None:
    format, weight = parse(name), weights(3, 70)
    whole = grids.quantize(weight, format, search=True)
    assert whole.codes.shape == (3, 70)
    assert whole.grid.scale.shape == whole.grid.zero.shape == (3, format.groups(70))
    if format.group:
        alone = grids.quantize(weight[:, 64:], format, search=True)
        np.testing.assert_array_equal(alone.codes, whole.codes[:, 64:])
        np.testing.assert_array_equal(alone.grid.scale, whole.grid.scale[:, 2:])


@pytest.mark.parametrize("search", [False, True])
@pytest.mark.parametrize("name", ["w4g32", "w8g16z", "w2g128", "w6g64z"])
@pytest.mark.parametrize("magnitude", [1e6, 1.0, 1e-3, 1e-5, 1e-7, 1e-12])
def test_scales_of_groups_are_exactly_float16(magnitude: float, name: str, search: bool) -> None:
    grid = grids.fit(weights(4, 256, magnitude=magnitude), parse(name), search=search)
    np.testing.assert_array_equal(grid.scale.astype(np.float16).astype(np.float32), grid.scale)
    assert np.isfinite(grid.scale).all()
    assert (grid.scale != 0).all()


@pytest.mark.parametrize("name", ["w4g32", "w8g32", "w8g32z", "w4g32z", "w2g16"])
@pytest.mark.parametrize("magnitude", [1e-3, 1e-5, 1e-6, 1e-7])
def test_small_weights_are_not_clipped_by_a_coarse_scale(magnitude: float, name: str) -> None:
    format, weight = parse(name), weights(4, 256, magnitude=magnitude)
    found = grids.quantize(weight, format)
    scale = np.abs(grids.columns(found.grid.scale, format, 256))
    whole = 1.0 if format.symmetric else 0.5
    bound = scale * (whole + SHORT * format.levels) * (1 + NOISE)
    assert (np.abs(found.decode() - weight) <= bound).all()


@pytest.mark.parametrize("name", ["w4g32", "w4g32z"])
def test_a_scale_beyond_float16_becomes_the_largest(name: str) -> None:
    grid = grids.fit(weights(2, 64, magnitude=1e7), parse(name))
    assert (np.abs(grid.scale) == np.finfo(np.float16).max).all()


@pytest.mark.parametrize("name", ["w8", "w8z", "w4", "w8a8"])
@pytest.mark.parametrize("magnitude", [1e38, 1e-36])
def test_rows_scaled_by_float32_reach_its_ends(magnitude: float, name: str) -> None:
    weight = np.clip(weights(4, 64), -3, 3) * np.float32(magnitude)
    found = grids.quantize(weight, parse(name), search=True)
    error = np.abs(found.decode().astype(np.float64) - weight)
    assert (error <= 1.1 * np.abs(found.grid.scale)).all()


@pytest.mark.parametrize("name", ["w4", "w4z", "w4g32", "w4g32z", "w8a8"])
def test_a_group_of_zeros_has_the_scale_one(name: str) -> None:
    found = grids.quantize(np.zeros((2, 64), np.float32), parse(name), search=True)
    assert (found.grid.scale == 1).all()
    assert (found.decode() == 0).all()


@pytest.mark.parametrize("name", ["w8a8", "w8a8d", "w4g32a8d"])
def test_integer_kernels_get_positive_scales_and_both_extremes(name: str) -> None:
    format, weight = parse(name), weights(8, 64)
    found = grids.quantize(weight, format)
    assert (found.grid.scale > 0).all()
    assert found.codes.min() >= 1
    scale = grids.columns(found.grid.scale, format, 64)
    bound = scale * (0.5 + SHORT * format.levels) * (1 + NOISE)
    assert (np.abs(found.decode() - weight) <= bound).all()


@pytest.mark.parametrize("name", ["w4g32@50", "w4g32z@50", "w8@2:4", "w3z@50"])
def test_a_masked_weight_is_zero_and_shapes_no_grid(name: str) -> None:
    format, weight = parse(name), weights(4, 96)
    mask = np.random.default_rng(5).random((4, 96)) < 0.5
    found = grids.quantize(weight, format, search=True, mask=mask)
    zero = grids.columns(found.grid.zero, format, 96)
    np.testing.assert_array_equal(found.codes[~mask], zero[~mask])
    assert (found.decode()[~mask] == 0).all()
    loud = np.where(mask, weight, np.float32(1e3))
    again = grids.quantize(loud, format, search=True, mask=mask)
    np.testing.assert_array_equal(again.decode(), found.decode())


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    st.sampled_from(WEIGHT_BITS),
    st.sampled_from((0, *GROUPS)),
    st.booleans(),
    st.integers(1, 150),
    st.integers(0, 2**32),
)
def test_any_format_decodes_to_scale_times_code_minus_zero(
    bits: int, group: int, symmetric: bool, cols: int, seed: int
) -> None:
    format = Format(bits, group, symmetric)
    found = grids.quantize(weights(2, cols, seed), format)
    assert found.codes.dtype == np.uint8
    for row in range(2):
        for index, part in enumerate(each_group(format, cols)):
            codes = found.codes[row, part].astype(np.float64)
            exact = (codes - found.grid.zero[row, index]) * found.grid.scale[row, index]
            np.testing.assert_array_equal(found.decode()[row, part], exact.astype(np.float32))
