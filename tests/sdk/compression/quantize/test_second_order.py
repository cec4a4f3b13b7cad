"""Mirrors sdk/lamella/compression/quantize/second_order.py."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from lamella import formats, grids
from lamella.compression.quantize import nearest, problem, second_order
from lamella.compression.quantize.factor import factorise
from lamella.compression.quantize.problem import Problem, relative_loss, row_losses
from lamella.compression.quantize.second_order import Sweep
from lamella.errors import CompressionError
from lamella.grids import Grid

Make = Callable[..., Problem]
FORMATS = ["w2g16z", "w3g32", "w4g32z", "w8", "w8a8"]


def naive(layer: Problem, grid: Grid, settings: Sweep) -> npt.NDArray[np.float32]:
    """Returns GPTQ as in the paper, one row and column at a time, with an explicit inverse."""
    assert layer.moment is not None
    rows, cols = layer.weight.shape
    scale = grids.columns(grid.scale, layer.format, cols)
    zero = grids.columns(grid.zero, layer.format, cols).astype(np.float32)
    result = np.zeros((rows, cols), np.float32)
    for row in range(rows):
        moment = layer.moment[row * len(layer.moment) // rows].astype(np.float64)
        order = np.argsort(-np.diag(moment), kind="stable") if settings.act_order else range(cols)
        left = list(order)
        damped = moment + settings.damping * np.diag(moment).mean() * np.eye(cols)
        wanted = layer.weight[row].astype(np.float64)
        while left:
            inverse = np.linalg.inv(damped[np.ix_(left, left)])
            column = left[0]
            value = np.float32(wanted[column])
            code = np.rint(value / scale[row, column]) + zero[row, column]
            code = np.clip(code, 0, layer.format.levels - 1)
            if layer.mask is not None and not layer.mask[row, column]:
                code = zero[row, column]
            result[row, column] = (code - zero[row, column]) * scale[row, column]
            error = wanted[column] - np.float64(result[row, column])
            wanted[left] -= error / inverse[0, 0] * inverse[0]
            left = left[1:]
    return result


def swept(layer: Problem, settings: Sweep) -> npt.NDArray[np.float32]:
    grid = nearest.fit(layer, search=True)
    factor = factorise(layer, settings.damping, act_order=settings.act_order)
    return second_order.sweep(layer, grid, factor, settings.block).real


@pytest.mark.parametrize("act_order", [False, True])
@pytest.mark.parametrize("problems", [1, 3])
@pytest.mark.parametrize("masked", [False, True])
def test_it_equals_the_textbook_with_explicit_inverses(
    make: Make, act_order: bool, problems: int, masked: bool
) -> None:
    layer = make("w3g16z", rows=6, cols=40, problems=problems)
    if masked:
        mask = np.random.default_rng(1).random(layer.weight.shape) < 0.6
        layer = replace(layer, mask=mask)
    settings = Sweep(act_order=act_order, block=16)
    grid = nearest.fit(layer, search=True)
    np.testing.assert_array_equal(swept(layer, settings), naive(layer, grid, settings))


@pytest.mark.parametrize("text", FORMATS)
def test_a_diagonal_moment_gives_rounding_to_nearest_bit_for_bit(make: Make, text: str) -> None:
    layer = make(text)
    assert layer.moment is not None
    layer = replace(layer, moment=layer.moment * np.eye(64, dtype=np.float32))
    np.testing.assert_array_equal(swept(layer, Sweep()), nearest.solve(layer).decode())


@pytest.mark.parametrize("text", FORMATS)
def test_huge_damping_gives_rounding_to_nearest(make: Make, text: str) -> None:
    layer = make(text)
    np.testing.assert_array_equal(swept(layer, Sweep(damping=1e12)), nearest.solve(layer).decode())


@pytest.mark.parametrize("text", FORMATS)
def test_the_block_size_changes_nothing(make: Make, text: str) -> None:
    layer = make(text, cols=160)
    results = [swept(layer, Sweep(block=block)) for block in (1, 128, 160)]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_the_order_and_number_of_rows_change_nothing(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = make("w4g32z")
    whole = second_order.solve(layer).decode()
    monkeypatch.setattr(problem, "CHUNK", 7 * 64)
    np.testing.assert_array_equal(second_order.solve(layer).decode(), whole)
    turned = replace(layer, weight=layer.weight[::-1].copy())
    np.testing.assert_array_equal(second_order.solve(turned).decode(), whole[::-1])


@pytest.mark.parametrize("text", FORMATS)
@pytest.mark.parametrize("seed", range(4))
def test_no_row_loses_more_than_by_rounding_to_nearest(make: Make, text: str, seed: int) -> None:
    layer = make(text, seed=seed)
    losses = row_losses(layer, second_order.solve(layer).decode())
    for search in (False, True):
        others = row_losses(layer, nearest.solve(layer, search=search).decode())
        assert (losses <= others * (1 + 1e-9)).all()


def test_it_beats_rounding_several_times_on_correlated_inputs(make: Make) -> None:
    layer = make("w4g32", rows=64, cols=128)
    assert second_order.solve(layer).loss < 0.5 * nearest.solve(layer).loss


def test_it_lies_between_brute_force_and_rounding(make: Make) -> None:
    steps = np.array(list(itertools.product(range(4), repeat=6)), np.float64)
    gains = []
    for seed in range(12):
        layer = make("w2", rows=1, cols=6, seed=seed)
        assert layer.moment is not None
        found = second_order.solve(layer, Sweep(damping=1e-6, rounds=0))
        assert found.quantized is not None
        rounded = nearest.solve(layer)
        grid = found.quantized.grid
        change = layer.weight - (steps - grid.zero) * grid.scale
        energy = layer.weight[0] @ layer.moment[0] @ layer.weight[0]
        best = float(np.einsum("ni,ij,nj->n", change, layer.moment[0], change).min() / energy)
        assert best <= found.loss * (1 + 1e-5)
        assert found.loss <= rounded.loss * (1 + 1e-9)
        gains.append(found.loss / rounded.loss)
    assert min(gains) < 0.5


def test_masked_weights_stay_zero_and_the_others_make_up_for_them(make: Make) -> None:
    mask = np.random.default_rng(3).random((24, 64)) < 0.5
    for text in ("w4g32", "w8a8", "f16", "f32"):
        layer = replace(make(text), mask=mask)
        found = second_order.solve(layer)
        assert (found.decode()[~mask] == 0).all()
        assert found.loss < 0.6 * nearest.solve(layer).loss
    assert np.array_equal(found.decode() != 0, mask)


def test_a_float_layer_without_a_mask_is_only_rounded(make: Make) -> None:
    layer = make("f16")
    np.testing.assert_array_equal(
        second_order.solve(layer).decode(), layer.weight.astype(np.float16)
    )


def test_a_column_that_was_never_excited_is_rounded_to_nearest(make: Make) -> None:
    layer = make("w4g32")
    assert layer.moment is not None
    layer.moment[:, 5] = layer.moment[:, :, 5] = 0
    for damping in (0.0, 0.01):
        real = swept(layer, Sweep(damping=damping))
        np.testing.assert_array_equal(real[:, 5], nearest.solve(layer).decode()[:, 5])


def test_a_layer_that_was_never_excited_is_rounded_to_nearest(make: Make) -> None:
    layer = make("w4g32")
    assert layer.moment is not None
    silent = replace(layer, moment=np.zeros_like(layer.moment))
    found = second_order.solve(silent)
    np.testing.assert_array_equal(found.decode(), nearest.solve(silent).decode())
    assert found.loss == 0


def test_a_singular_moment_without_damping_gets_some(make: Make) -> None:
    layer = make("w4g32")
    tokens = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
    singular = replace(layer, moment=(tokens @ tokens.T)[None])
    found = second_order.solve(singular, Sweep(damping=0.0))
    assert np.isfinite(found.loss)
    assert found.loss < nearest.solve(singular).loss


def test_what_is_no_second_moment_is_refused_by_name(make: Make) -> None:
    layer = make("w4g32")
    assert layer.moment is not None
    with pytest.raises(CompressionError, match="layer layer: the second moment"):
        factorise(replace(layer, moment=-layer.moment), 0.01, act_order=True)


def test_a_slip_in_the_factor_is_caught_by_the_identity(make: Make) -> None:
    layer = make("w4g32")
    factor = factorise(layer, 0.01, act_order=False)
    wrong = replace(factor, upper=factor.upper * 1.001)
    with pytest.raises(CompressionError, match="layer layer: GPTQ pushed"):
        second_order.sweep(layer, nearest.fit(layer, search=True), wrong, 128)


def test_the_reported_loss_is_that_of_the_decoded_weights(make: Make) -> None:
    for text in ("w2g16z", "w8"):
        layer = make(text, rows=8, problems=2)
        found = second_order.solve(layer)
        assert found.loss == pytest.approx(relative_loss(layer, found.decode()), rel=1e-9)
        assert found.quantized is not None
        assert int(found.quantized.codes.max()) < formats.parse(text).levels
