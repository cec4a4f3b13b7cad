"""Mirrors native/kernels/rope: every row of kernels.inc against the reference, bit for bit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from native.rows import each_kernel

from lamella import _native
from native import reference_float as reference

HALVES = (*range(1, 41), 63, 64, 65)
LENGTH = 50

Positions = npt.NDArray[np.int32]

kernel = each_kernel(_native.rope_kernels())


def tables(half: int) -> tuple[reference.Float, reference.Float]:
    angles = np.outer(np.arange(LENGTH), 10_000.0 ** (-np.arange(half) / half))
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def positions(seed: int, tokens: int) -> Positions:
    return np.random.default_rng(seed).integers(0, LENGTH, tokens, dtype=np.int32)


@pytest.mark.parametrize("half", HALVES)
def test_equals_the_reference_and_is_near_float64(kernel: _native.RopeKernel, half: int) -> None:
    x, position = reference.draw(half, 5, 3, 2 * half), positions(half, 5)
    cosine, sine = tables(half)
    given = kernel.run(x, cosine, sine, position)
    np.testing.assert_array_equal(
        reference.bits(given), reference.bits(reference.rope(x, cosine, sine, position))
    )
    # A rotation as a product of complex numbers: one rounded product, and the fused operation.
    wide = x.astype(np.float64)
    pairs = wide[..., :half] + 1j * wide[..., half:]
    turned = pairs * (cosine.astype(np.float64) + 1j * sine)[position][:, None]
    exact = np.concatenate([turned.real, turned.imag], axis=2)
    product = np.abs(wide) * np.tile(np.abs(cosine), 2)[position][:, None]
    assert (np.abs(given - exact) <= 1.01 * reference.UNIT * (product + np.abs(exact))).all()


@pytest.mark.parametrize("half", [1, 16, 33])
def test_any_bits_give_the_bits_of_the_reference(kernel: _native.RopeKernel, half: int) -> None:
    x, position = reference.draw_bits(half, 40, 2, 2 * half), positions(half, 40)
    cosine, sine = (
        reference.draw_bits(half + 5, LENGTH, half),
        reference.draw_bits(half + 6, LENGTH, half),
    )
    with np.errstate(all="ignore"):
        expected = reference.rope(x, cosine, sine, position)
    expected[np.isnan(expected)] = np.nan
    np.testing.assert_array_equal(
        reference.bits(kernel.run(x, cosine, sine, position)), reference.bits(expected)
    )


def test_position_zero_turns_nothing(kernel: _native.RopeKernel) -> None:
    x = reference.draw(0, 2, 3, 24)
    given = kernel.run(x, *tables(12), np.zeros(2, np.int32))
    np.testing.assert_array_equal(given, x)


def test_tokens_do_not_depend_on_each_other(kernel: _native.RopeKernel) -> None:
    x, position = reference.draw(0, 6, 2, 34), positions(0, 6)
    whole = kernel.run(x, *tables(17), position)
    part = kernel.run(x[2:4], *tables(17), position[2:4])
    np.testing.assert_array_equal(reference.bits(part), reference.bits(whole[2:4]))
    assert kernel.run(x[:0], *tables(17), position[:0]).shape == (0, 2, 34)


def test_positions_outside_the_tables_are_refused(kernel: _native.RopeKernel) -> None:
    x = reference.draw(0, 3, 2, 8)
    for position in (-1, LENGTH):
        with pytest.raises(ValueError, match=rf"position {position} of token 2 is outside .* 50"):
            kernel.run(x, *tables(4), np.array([0, 49, position], np.int32))


def test_wrong_shapes_are_refused(kernel: _native.RopeKernel) -> None:
    x, position = reference.draw(0, 3, 2, 8), positions(0, 3)
    cosine, sine = tables(4)
    with pytest.raises(ValueError, match=r"x must have the shape \(tokens, heads, 2 \* half\)"):
        kernel.run(x[0], cosine, sine, position)
    with pytest.raises(ValueError, match=r"x must have the shape .*, not \(3, 2, 7\)"):
        kernel.run(np.zeros((3, 2, 7), np.float32), cosine, sine, position)
    with pytest.raises(ValueError, match=r"cosine must have the shape \(50, 4\), not \(50, 3\)"):
        kernel.run(x, *tables(3), position)
    with pytest.raises(ValueError, match=r"sine must have the shape \(50, 4\), not \(49, 4\)"):
        kernel.run(x, cosine, sine[1:], position)
    with pytest.raises(ValueError, match=r"position must have the shape \(3,\), not \(2,\)"):
        kernel.run(x, cosine, sine, position[1:])
    with pytest.raises(ValueError, match="position must be int32, not int64"):
        kernel.run(x, cosine, sine, position.astype(np.int64))
