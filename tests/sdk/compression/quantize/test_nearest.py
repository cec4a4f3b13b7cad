"""Mirrors sdk/lamella/compression/quantize/nearest.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lamella import formats, grids
from lamella.compression.quantize import nearest
from lamella.compression.quantize.problem import Problem, relative_loss

Make = Callable[..., Problem]


@pytest.mark.parametrize("text", ["w2g16z", "w4g32", "w8", "w8a8"])
def test_without_search_it_is_the_reference_rounding(make: Make, text: str) -> None:
    layer = make(text)
    found = nearest.solve(layer, search=False).quantized
    assert found is not None
    expected = grids.quantize(layer.weight, layer.format)
    np.testing.assert_array_equal(found.codes, expected.codes)
    np.testing.assert_array_equal(found.decode(), expected.decode())


@pytest.mark.parametrize("text", ["w2g16z", "w3g32", "w4g32z"])
def test_search_lowers_the_error_weighted_by_the_diagonal(make: Make, text: str) -> None:
    layer = make(text, rows=64)
    assert layer.moment is not None
    diagonal = np.diagonal(layer.moment[0])
    errors = [
        (diagonal * np.square(layer.weight - nearest.solve(layer, search=on).decode())).sum()
        for on in (True, False)
    ]
    assert errors[0] < 0.95 * errors[1]


def test_the_reported_loss_is_that_of_the_decoded_weights(make: Make) -> None:
    layer = make("w3g32z")
    found = nearest.solve(layer)
    assert found.loss == pytest.approx(relative_loss(layer, found.decode()), rel=1e-12)
    assert found.loss > 0


def test_masked_weights_are_exactly_zero_and_do_not_shape_the_grid(make: Make) -> None:
    layer = make("w4g32z")
    mask = np.random.default_rng(2).random(layer.weight.shape) < 0.5
    found = nearest.solve(replace(layer, mask=mask))
    assert (found.decode()[~mask] == 0).all()
    changed = np.where(mask, layer.weight, np.float32(1000))
    again = nearest.solve(replace(layer, weight=changed, mask=mask))
    np.testing.assert_array_equal(found.decode(), again.decode())


def test_float16_is_rounded_and_kept_finite(make: Make) -> None:
    layer = make("f16")
    layer.weight[0, 0] = 1e6
    found = nearest.solve(layer).decode()
    assert found[0, 0] == np.finfo(np.float16).max
    np.testing.assert_array_equal(found[1:], layer.weight[1:].astype(np.float16))


def test_float32_is_kept(make: Make) -> None:
    layer = make("f32")
    np.testing.assert_array_equal(nearest.solve(layer).decode(), layer.weight)


def test_a_convolution_fits_every_row_with_its_own_moment(make: Make) -> None:
    layer = make("w3g16", rows=6, cols=32, problems=3)
    assert layer.moment is not None
    whole = nearest.solve(layer).decode()
    for group in range(3):
        rows = slice(2 * group, 2 * group + 2)
        part = Problem("part", layer.weight[rows], layer.format, layer.moment[group : group + 1])
        np.testing.assert_array_equal(nearest.solve(part).decode(), whole[rows])


def test_a_vocabulary_is_rounded_without_a_second_moment(make: Make) -> None:
    layer = replace(make("w4g32", rows=100), moment=None, counts=np.arange(100))
    found = nearest.solve(layer)
    assert 0 < found.loss < 0.02
    assert formats.parse("w4g32") == layer.format
