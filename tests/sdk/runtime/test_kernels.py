"""Mirrors sdk/lamella/runtime/kernels.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lamella import grids
from lamella.errors import ArtifactError, CompressionError
from lamella.formats import GROUPS, WEIGHT_BITS, Format, parse
from lamella.grids import Grid, Mask, Quantized
from lamella.runtime import kernels

DENSE = [
    Format(bits, group, symmetric)
    for bits in WEIGHT_BITS
    for group in (0, *GROUPS)
    for symmetric in (True, False)
]
SPARSE = ["w8@50", "w4g32@2:4", "w4g32z@75", "w3@90", "w5g16z@1:8", "w2@2:4", "w2g64z@25", "w8@1"]


def quantized(format: Format, rows: int, cols: int) -> Quantized:
    generator = np.random.default_rng(rows * cols)
    weight = generator.standard_normal((rows, cols)).astype(np.float32)
    mask: Mask | None = None
    if format.sparsity is not None:
        mask = generator.random((rows, cols)) >= format.sparsity.fraction
    return grids.quantize(weight, format, mask=mask)


@pytest.mark.parametrize("shape", [(1, 1), (3, 33), (5, 129), (2, 576)], ids=str)
@pytest.mark.parametrize("format", DENSE, ids=lambda format: format.id)
def test_a_dense_weight_comes_back_and_has_the_promised_size(
    format: Format, shape: tuple[int, int]
) -> None:
    before = quantized(format, *shape)
    packed = kernels.pack(before)
    assert packed.nbytes == format.nbytes(*shape)
    assert packed.mask is None
    after = kernels.unpack(packed)
    assert after.format == format
    np.testing.assert_array_equal(after.codes, before.codes, strict=True)
    np.testing.assert_array_equal(after.grid.scale, before.grid.scale, strict=True)
    np.testing.assert_array_equal(after.grid.zero, before.grid.zero, strict=True)


@pytest.mark.parametrize("shape", [(1, 1), (3, 33), (5, 129), (2, 576)], ids=str)
@pytest.mark.parametrize("name", SPARSE)
def test_a_masked_weight_comes_back_and_has_the_promised_size(
    name: str, shape: tuple[int, int]
) -> None:
    format = parse(name)
    before = quantized(format, *shape)
    assert before.mask is not None
    packed = kernels.pack(before)
    assert packed.nbytes == format.nbytes(*shape, int(before.mask.sum()))
    after = kernels.unpack(packed)
    np.testing.assert_array_equal(after.decode(), before.decode(), strict=True)
    if packed.mask is not None:
        assert after.mask is not None
        np.testing.assert_array_equal(after.mask, before.mask, strict=True)


@pytest.mark.parametrize(("name", "stored"), [("w4@2:4", True), ("w2@2:4", False)])
def test_a_mask_is_stored_only_where_it_saves_bytes(name: str, stored: bool) -> None:
    weight = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
    mask = np.tile([True, False, False, True], (4, 16))
    packed = kernels.pack(grids.quantize(weight, parse(name), mask=mask))
    assert (packed.mask is not None) == stored
    # The real count is the promised one, so the size needs no count.
    assert packed.nbytes == parse(name).nbytes(4, 64)


@pytest.mark.parametrize(("name", "dtype"), [("w4g32", np.float16), ("w4", np.float32)])
def test_scales_are_stored_as_the_format_says(name: str, dtype: type[np.floating]) -> None:
    assert kernels.pack(quantized(parse(name), 4, 64)).scale.dtype == dtype


def test_a_scale_that_is_no_float16_is_refused() -> None:
    good = quantized(parse("w4g32"), 2, 32)
    grid = Grid(good.grid.scale * np.float32(1 + 2**-20), good.grid.zero)
    with pytest.raises(CompressionError, match="scale of a w4g32 weight is not exactly a float16"):
        kernels.pack(replace(good, grid=grid))


def test_a_zero_point_off_the_middle_of_a_symmetric_grid_is_refused() -> None:
    good = quantized(parse("w4"), 2, 32)
    grid = Grid(good.grid.scale, good.grid.zero + np.uint8(1))
    with pytest.raises(CompressionError, match="zero point of a w4 weight is not 8"):
        kernels.pack(replace(good, grid=grid))


def test_a_code_beyond_the_format_is_refused() -> None:
    good = quantized(parse("w4"), 2, 32)
    with pytest.raises(CompressionError, match="w4 has the codes 0 to 15 only"):
        kernels.pack(replace(good, codes=good.codes + np.uint8(16)))


def test_grids_of_another_shape_are_refused() -> None:
    good = quantized(parse("w4g32"), 2, 64)
    grid = Grid(good.grid.scale[:, :1], good.grid.zero)
    with pytest.raises(CompressionError, match=r"grids of shape \(2, 2\), not scales \(2, 1\)"):
        kernels.pack(replace(good, grid=grid))


def test_a_masked_code_that_is_not_zero_is_refused_and_named() -> None:
    good = quantized(parse("w8@50"), 3, 40)
    assert good.mask is not None
    mask, codes = good.mask.copy(), good.codes.copy()
    mask[1, 7], codes[1, 7] = False, 3
    with pytest.raises(CompressionError, match="row 1, column 7 is masked, but its code"):
        kernels.pack(replace(good, codes=codes, mask=mask))
    with pytest.raises(CompressionError, match=r"shape \(3, 39\) does not fit"):
        kernels.pack(replace(good, mask=mask[:, 1:]))


def test_a_floating_point_format_has_nothing_to_pack() -> None:
    good = quantized(parse("w8"), 2, 8)
    with pytest.raises(CompressionError, match=r"a f16 weight .* cannot be packed"):
        kernels.pack(replace(good, format=parse("f16")))
    with pytest.raises(ArtifactError, match="a floating point format has no codes"):
        kernels.unpack(replace(kernels.pack(good), format="f16"))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("w4g32z", {"codes": np.zeros((3, 31), np.uint8)}),
        ("w4g32z", {"codes": np.zeros((2, 32), np.uint8)}),
        ("w4g32z", {"scale": np.ones((3, 1), np.float16)}),
        ("w4g32z", {"zero": np.zeros((3, 2), np.uint8)}),
        ("w4g32z", {"zero": np.zeros((2, 1), np.uint8)}),
        ("w4g32z", {"zero": None}),
        ("w4g32z", {"rows": 4}),
        ("w4g32z", {"cols": 65}),
        ("w8@50", {"codes": np.zeros((1, 5), np.uint8)}),
        ("w8@50", {"mask": np.zeros((3, 8), np.uint8)}),
        ("w8@50", {"mask": np.zeros((2, 8), np.uint8)}),
        ("w8@50", {"rows": 2}),
    ],
    ids=str,
)
def test_parts_that_do_not_fit_each_other_are_refused(name: str, change: dict[str, object]) -> None:
    good = kernels.pack(quantized(parse(name), 3, 64))
    with pytest.raises(ArtifactError, match=f"a packed {name} weight of . x .. is damaged: "):
        kernels.unpack(replace(good, **change))  # type: ignore[arg-type]
