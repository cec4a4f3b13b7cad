"""Mirrors sdk/lamella/compression/quantize/problem.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lamella.compression.quantize import problem as problems
from lamella.compression.quantize.problem import Problem
from lamella.errors import CompressionError

Make = Callable[..., Problem]


@pytest.mark.parametrize("count", [1, 4])
def test_the_loss_is_the_trace_computed_row_by_row(
    make: Make, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(problems, "CHUNK", 100)
    layer = make(rows=12, cols=20, problems=count)
    decoded = np.round(layer.weight)
    assert layer.moment is not None
    expected = []
    for row in range(12):
        change = layer.weight[row].astype(np.float64) - decoded[row]
        expected.append(change @ layer.moment[row // (12 // count)].astype(np.float64) @ change)
    np.testing.assert_allclose(problems.row_losses(layer, decoded), expected, rtol=1e-12)


def test_the_relative_loss_of_losing_everything_is_one(make: Make) -> None:
    layer = make()
    assert problems.relative_loss(layer, np.zeros_like(layer.weight)) == pytest.approx(1)
    assert problems.relative_loss(layer, layer.weight) == 0


def test_rows_of_an_embedding_weigh_as_often_as_they_are_looked_up(make: Make) -> None:
    layer = replace(make(rows=3, cols=4), moment=None, counts=np.array([0, 2, 5]))
    decoded = np.zeros_like(layer.weight)
    decoded[2] = layer.weight[2]
    squares = np.square(layer.weight.astype(np.float64)).sum(axis=1)
    expected = 2 * squares[1] / (2 * squares[1] + 5 * squares[2])
    assert problems.relative_loss(layer, decoded) == pytest.approx(expected)


def test_importance_is_the_diagonal_with_a_floor(make: Make) -> None:
    layer = make(rows=4, cols=8, problems=2)
    assert layer.moment is not None
    found = problems.importance(layer)
    assert found is not None
    diagonal = np.diagonal(layer.moment[1])
    np.testing.assert_allclose(found[3], diagonal + 0.01 * diagonal.mean(), rtol=1e-6)
    assert found.shape == (4, 8)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused_by_name(make: Make, bad: float) -> None:
    layer = make()
    layer.weight[3, 5] = bad
    with pytest.raises(CompressionError, match=r"layer layer: 1 of its 1536 weights"):
        problems.check(layer)


def test_moments_that_are_not_finite_or_do_not_fit_are_refused(make: Make) -> None:
    layer = make()
    assert layer.moment is not None
    layer.moment[0, 0, 0] = np.nan
    with pytest.raises(CompressionError, match="second moment of its input holds NaN"):
        problems.check(layer)
    with pytest.raises(CompressionError, match="do not fit"):
        problems.check(replace(layer, moment=np.eye(3, dtype=np.float32)[None]))
