"""Mirrors sdk/lamella/compression/quantize/bias.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lamella import formats
from lamella.calibration.patches import Window
from lamella.compression.quantize import bias, nearest
from lamella.compression.quantize.problem import Problem


def test_the_mean_of_a_linear_layers_output_is_restored_exactly() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.normal(loc=2, size=(500, 32)).astype(np.float32)
    weight = rng.normal(size=(16, 32)).astype(np.float32)
    moment = (tokens.T @ tokens / 500)[None]
    layer = Problem("layer", weight, formats.parse("w2"), moment)
    decoded = nearest.solve(layer).decode()
    shift = bias.shift(layer, decoded, bias.Input(tokens.mean(axis=0)))
    moved = (tokens @ weight.T).mean(axis=0) - (tokens @ decoded.T).mean(axis=0)
    assert np.abs(moved).max() > 0.5
    np.testing.assert_allclose(shift, moved, rtol=1e-4, atol=1e-4)


def test_the_corrected_loss_is_the_loss_less_the_square_of_the_shift() -> None:
    rng = np.random.default_rng(1)
    tokens = rng.normal(loc=1, size=(400, 8))
    weight = rng.normal(size=(4, 8)).astype(np.float32)
    moment = (tokens.T @ tokens / 400).astype(np.float32)[None]
    layer = Problem("layer", weight, formats.parse("w3"), moment)
    decoded = nearest.solve(layer).decode()
    shift = bias.shift(layer, decoded, bias.Input(tokens.mean(axis=0).astype(np.float32)))
    error = tokens @ (weight - decoded).T.astype(np.float64)
    before, after = (error**2).mean(axis=0), ((error - shift) ** 2).mean(axis=0)
    np.testing.assert_allclose(before - after, shift.astype(np.float64) ** 2, rtol=1e-3, atol=1e-6)


def test_a_mean_that_contradicts_the_moment_is_not_used() -> None:
    weight = np.array([[1.0, 0.3], [1.0, 1.0]], np.float32)
    decoded = np.array([[1.0, 0.0], [1.0, 1.0]], np.float32)
    moment = np.eye(2, dtype=np.float32)[None]
    layer = Problem("layer", weight, formats.parse("w8"), moment)
    possible = bias.shift(layer, decoded, bias.Input(np.array([0, 0.9], np.float32)))
    np.testing.assert_allclose(possible, [0.27, 0], rtol=1e-6)
    assert (bias.shift(layer, decoded, bias.Input(np.array([0, 1.1], np.float32))) == 0).all()
    blind = replace(layer, moment=None)
    assert bias.shift(blind, decoded, bias.Input(np.array([0, 1.1], np.float32)))[0] > 0.3


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "groups"),
    [
        ((1, 1), (1, 1), (0, 0), (1, 1), 1),
        ((3, 3), (1, 1), (1, 1), (1, 1), 1),
        ((3, 3), (2, 2), (1, 1), (1, 1), 4),
        ((3, 5), (2, 1), (1, 4), (1, 2), 2),
    ],
)
def test_constant_images_give_the_exact_mean_of_every_column(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> None:
    means = np.arange(1, 5, dtype=np.float32)
    image = torch.from_numpy(means).reshape(1, 4, 1, 1).expand(1, 4, 9, 12).contiguous()
    unfolded = F.unfold(image, kernel, dilation, padding, stride)
    expected = unfolded.mean(dim=2).reshape(groups, -1).numpy()
    window = Window(kernel, stride, padding, dilation, groups)
    found = bias.columns(bias.Input(means, window, (9, 12)))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
