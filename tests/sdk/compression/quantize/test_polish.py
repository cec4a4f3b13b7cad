"""Mirrors sdk/lamella/compression/quantize/polish.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lamella.compression.quantize import nearest, polish
from lamella.compression.quantize.factor import factorise
from lamella.compression.quantize.problem import Problem, row_losses
from lamella.grids import Quantized, columns

Make = Callable[..., Problem]


def start(layer: Problem) -> Quantized:
    found = nearest.solve(layer).quantized
    assert found is not None
    return found


@pytest.mark.parametrize("text", ["w2g16z", "w3g32", "w4g32z", "w8a8"])
@pytest.mark.parametrize("cols", [64, 50])
def test_no_row_gets_worse_and_the_sum_gets_better(make: Make, text: str, cols: int) -> None:
    layer = make(text, rows=12, cols=cols, problems=2)
    factor = factorise(layer, 0.01, act_order=True)
    found = start(layer)
    before = row_losses(layer, found.decode(), factor.damped)
    for _ in range(3):
        found = polish.improve(layer, found, factor, 16)
        after = row_losses(layer, found.decode(), factor.damped)
        assert (after <= before * (1 + 1e-9)).all()
        before = after
    assert after.sum() < 0.7 * row_losses(layer, start(layer).decode(), factor.damped).sum()


@pytest.mark.parametrize("block", [1, 7, 128])
def test_codes_move_as_in_coordinate_descent_written_out(make: Make, block: int) -> None:
    layer = make("w3g16z", rows=4, cols=40, problems=2)
    factor = factorise(layer, 0.01, act_order=True)
    found = start(layer)
    scale = columns(found.grid.scale, layer.format, 40)
    zero = columns(found.grid.zero, layer.format, 40).astype(np.float32)
    codes = found.codes.astype(np.float32)
    for row in range(4):
        damped = factor.damped[row // 2].numpy()
        for j in range(40):
            change = layer.weight[row].astype(np.float64) - (codes[row] - zero[row]) * scale[row]
            change[j] = layer.weight[row, j]
            # The value of column j at which the derivative of the loss vanishes.
            wanted = np.float32(damped[j] @ change / damped[j, j])
            step = np.rint(wanted / scale[row, j]) + zero[row, j]
            codes[row, j] = np.clip(step, 0, 7)
    moved = polish.improve(layer, found, factor, block)
    np.testing.assert_array_equal(moved.codes, codes)
    assert (codes != found.codes).any()


def test_at_the_end_no_single_code_can_be_improved(make: Make) -> None:
    layer = make("w3g16z", rows=4, cols=24)
    factor = factorise(layer, 0.01, act_order=True)
    found = start(layer)
    for _ in range(50):
        found = polish.improve(layer, found, factor, 128)
    least = row_losses(layer, found.decode(), factor.damped)
    for row in range(4):
        for col in range(24):
            for step in (-1, 1):
                codes = found.codes.copy()
                codes[row, col] = np.clip(int(codes[row, col]) + step, 0, 7)
                moved = replace(found, codes=codes)
                loss = row_losses(layer, moved.decode(), factor.damped)[row]
                assert loss >= least[row] * (1 - 1e-6)


def test_scales_are_the_least_squares_solution(make: Make) -> None:
    layer = make("w4", rows=3, cols=32)
    factor = factorise(layer, 0.01, act_order=True)
    found = start(layer)
    improved = polish.improve(layer, found, factor, 128)
    damped = factor.damped[0].numpy()
    for row in range(3):
        steps = improved.codes[row].astype(np.float64) - improved.grid.zero[row, 0]
        best = (layer.weight[row] @ damped @ steps) / (steps @ damped @ steps)
        assert improved.grid.scale[row, 0] == pytest.approx(best, rel=1e-5)


def test_masked_codes_stay_zero(make: Make) -> None:
    layer = make("w4g32z")
    mask = np.random.default_rng(0).random(layer.weight.shape) < 0.5
    layer = replace(layer, mask=mask)
    factor = factorise(layer, 0.01, act_order=True)
    improved = polish.improve(layer, start(layer), factor, 128)
    zero = columns(improved.grid.zero, layer.format, 64)
    np.testing.assert_array_equal(improved.codes[~mask], zero[~mask])
    assert (improved.decode()[~mask] == 0).all()
