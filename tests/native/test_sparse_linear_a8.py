"""Mirrors native/kernels/sparse_linear_a8: every row of kernels.inc against numpy, bit for bit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from native.reference_linear import Weight
from native.reference_sparse import Mask
from native.rows import each_kernel

from lamella import _native
from native import reference_linear, reference_sparse

Real = npt.NDArray[np.float32]

GROUPS = (0, 16, 32, 64, 128)
SHAPES = ((1, 1), (7, 31), (8, 32), (9, 33), (16, 64), (17, 100), (24, 160), (3, 0), (0, 5))
SHARES = (0.0, 0.1, 0.5, 0.9, 1.0)

kernel = each_kernel(_native.sparse_linear_a8_kernels())


def draw(
    seed: int, bits: int, shape: tuple[int, int], group: int, share: float
) -> tuple[Weight, Mask]:
    """Returns a weight and a mask that keeps about a share of it."""
    generator = np.random.default_rng(seed)
    rows, cols = shape
    grids = (rows, -(-cols // group) if group else 1)
    scale = generator.uniform(-0.1, 0.1, grids)
    weight = Weight(
        bits,
        group,
        generator.integers(0, 1 << bits, shape, dtype=np.uint8),
        scale.astype(np.float16) if group else scale.astype(np.float32),
        generator.integers(0, 1 << bits, grids, dtype=np.uint8) if seed % 2 else None,
    )
    return weight, generator.random(shape) < share


def draw_input(seed: int, tokens: int, cols: int) -> Real:
    generator = np.random.default_rng(seed)
    return generator.standard_normal((tokens, cols)).astype(np.float32)


def dense(weight: Weight) -> _native.LinearWeight:
    return _native.pack_linear(weight.codes, weight.scale, weight.zero, weight.bits, weight.group)


def equal(given: Real, expected: Real) -> None:
    np.testing.assert_array_equal(given.view(np.uint32), expected.view(np.uint32), strict=True)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("shape", SHAPES)
def test_packs_like_the_reference(bits: int, shape: tuple[int, int]) -> None:
    for seed, share in enumerate(SHARES):
        weight, keep = draw(seed, bits, shape, 32, share)
        packed = _native.pack_sparse(dense(weight), keep)
        codes, masks, starts = reference_sparse.pack(weight.codes, keep, bits)
        np.testing.assert_array_equal(packed.codes, codes, strict=True)
        np.testing.assert_array_equal(packed.masks, masks, strict=True)
        np.testing.assert_array_equal(packed.starts, starts, strict=True)


@pytest.mark.parametrize("share", SHARES)
def test_equals_the_reference(kernel: _native.SparseLinearKernel, share: float) -> None:
    for seed, shape in enumerate(SHAPES):
        weight, keep = draw(seed, kernel.bits, shape, GROUPS[seed % 5], share)
        x = draw_input(seed, 1 + seed % 6, shape[1])
        bias = draw_input(seed, 1, shape[0])[0] if seed % 3 else None
        y = kernel.run(_native.pack_sparse(dense(weight), keep), x, bias)
        equal(y, reference_linear.linear(reference_sparse.fill(weight, keep), x, bias))


@pytest.mark.parametrize("group", GROUPS)
def test_equals_the_dense_layer_of_the_same_codes(
    kernel: _native.SparseLinearKernel, group: int
) -> None:
    weight, _ = draw(group + 1, kernel.bits, (40, 256), group, 1.0)
    keep = np.tile([True, False, False, True], (40, 64))  # 2 of 4
    x = draw_input(group, 5, 256)
    filled = dense(reference_sparse.fill(weight, keep))
    expected = _native.linear_a8_kernel(kernel.bits).run(filled, x)
    equal(kernel.run(_native.pack_sparse(dense(weight), keep), x), expected)


def test_the_largest_sums_are_exact(kernel: _native.SparseLinearKernel) -> None:
    codes = np.full((9, 96), (1 << kernel.bits) - 1, np.uint8)
    weight = Weight(kernel.bits, 0, codes, np.ones((9, 1), np.float32), np.zeros((9, 1), np.uint8))
    keep = np.ones((9, 96), np.bool_)
    keep[:, 40:50] = False
    for sign in (1, -1):
        x = np.full((3, 96), sign, np.float32)
        expected = reference_linear.linear(reference_sparse.fill(weight, keep), x)
        equal(kernel.run(_native.pack_sparse(dense(weight), keep), x), expected)


def test_the_number_of_threads_changes_nothing(kernel: _native.SparseLinearKernel) -> None:
    weight, keep = draw(3, kernel.bits, (150, 128), 64, 0.4)
    packed, x = _native.pack_sparse(dense(weight), keep), draw_input(3, 3, 128)
    expected = kernel.run(packed, x).tobytes()
    for threads in (1, 2, 3, 4):
        pool = _native.ThreadPool(threads)
        assert kernel.run(packed, x, pool=pool).tobytes() == expected


def test_stored_arrays_make_the_same_weight(kernel: _native.SparseLinearKernel) -> None:
    weight, keep = draw(5, kernel.bits, (9, 64), 32, 0.4)
    packed, x = _native.pack_sparse(dense(weight), keep), draw_input(5, 2, 64)
    arrays = (packed.codes.copy(), packed.masks, packed.starts, packed.scale, packed.zero)
    stored = _native.SparseWeight(9, 64, kernel.bits, 32, *arrays)
    assert stored.codes is arrays[0]
    equal(kernel.run(stored, x), kernel.run(packed, x))


def test_a_weight_of_another_width_is_refused(kernel: _native.SparseLinearKernel) -> None:
    weight, keep = draw(1, 12 - kernel.bits, (8, 32), 32, 0.5)
    packed = _native.pack_sparse(dense(weight), keep)
    with pytest.raises(ValueError, match=f"{kernel.name} cannot run a weight of"):
        kernel.run(packed, draw_input(1, 1, 32))
    with pytest.raises(ValueError, match="x must have the shape"):
        kernel.run(
            _native.pack_sparse(dense(draw(1, kernel.bits, (8, 32), 32, 1)[0]), keep),
            draw_input(1, 1, 31),
        )


def test_parts_that_do_not_fit_are_refused() -> None:
    weight, keep = draw(2, 4, (9, 64), 32, 0.5)
    packed = _native.pack_sparse(dense(weight), keep)
    starts = packed.starts.copy()
    starts[1, 1] += 1
    parts = (packed.masks, packed.starts, packed.scale, packed.zero)
    with pytest.raises(ValueError, match=r"tile 3 starts at byte \d+, but its masks say \d+"):
        _native.SparseWeight(9, 64, 4, 32, packed.codes, packed.masks, starts, *parts[2:])
    with pytest.raises(ValueError, match=r"codes must have the shape"):
        _native.SparseWeight(9, 64, 4, 32, packed.codes[1:].copy(), *parts)
    with pytest.raises(ValueError, match=r"masks must have the shape \(1, 2, 4\)"):
        _native.SparseWeight(
            8, 64, 4, 32, packed.codes, packed.masks, starts, packed.scale[:1].copy()
        )
    with pytest.raises(ValueError, match="keep must be bool, not uint8"):
        _native.pack_sparse(dense(weight), keep.astype(np.uint8))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"keep must have the shape \(9, 64\), not \(8, 64\)"):
        _native.pack_sparse(dense(weight), keep[:8].copy())
    five = _native.pack_linear(weight.codes, weight.scale, None, 5, 32)
    with pytest.raises(ValueError, match="bits of a sparse weight must be 4 or 8, not 5"):
        _native.pack_sparse(five, keep)
    with pytest.raises(ValueError, match="bits of a sparse weight must be 4 or 8, not 5"):
        _native.sparse_linear_a8_kernel(5)
