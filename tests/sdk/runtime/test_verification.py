"""Mirrors sdk/lamella/runtime/verification.py."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest

from lamella.artifact.manifest import Tolerance
from lamella.runtime.verification import compare

EXACT = Tolerance(0.0)


def test_equal_outputs_have_no_error() -> None:
    odd = np.array([np.inf, -np.inf, np.nan, -0.0, 1.0], np.float32)
    verdict = compare({"y": odd}, {"y": odd.copy()}, Tolerance(0.0, 1.0))
    assert verdict.ok
    assert (verdict.max_abs_error, verdict.cosine) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("expected", "found"), [(np.inf, 1.0), (np.inf, -np.inf), (np.nan, 0.0), (0.0, np.nan)]
)
def test_a_lost_infinity_or_nan_is_an_infinite_error(expected: float, found: float) -> None:
    verdict = compare({"y": np.array([expected])}, {"y": np.array([found])}, Tolerance(1e300))
    assert not verdict.ok
    assert math.isinf(verdict.max_abs_error)


def test_error_and_cosine_are_those_of_float64() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 50)).astype(np.float32)
    verdict = compare({"y": a}, {"y": b}, EXACT)
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    assert verdict.max_abs_error == np.abs(x - y).max()
    assert verdict.cosine == pytest.approx(x @ y / np.linalg.norm(x) / np.linalg.norm(y))


def test_the_worst_output_is_named() -> None:
    expected = {"a": np.zeros(2), "b": np.zeros(2), "c": np.zeros(0)}
    found = {"a": np.full(2, 0.25), "b": np.full(2, 0.5), "c": np.zeros(0)}
    verdict = compare(expected, found, Tolerance(1.0))
    assert verdict.ok
    assert verdict.max_abs_error == 0.5
    assert "in output 'b'" in verdict.detail


def test_cosine_may_fail_where_the_error_passes() -> None:
    verdict = compare({"y": np.array([1e-3])}, {"y": np.array([-1e-3])}, Tolerance(0.1, 0.9))
    assert not verdict.ok
    assert verdict.cosine == pytest.approx(-1)


def test_the_largest_numbers_do_not_overflow() -> None:
    a = np.array([1e308, -1e308])
    verdict = compare({"y": a}, {"y": a * 0.5}, Tolerance(math.inf, 0.999))
    assert verdict.ok
    assert verdict.cosine == pytest.approx(1)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, "output 'y' is missing"),
        ({"y": np.zeros(3, np.float32)}, r"float32 of shape \(3,\), not float32 of shape \(2,\)"),
        ({"y": np.zeros(2, np.float64)}, "'y' is float64"),
    ],
)
def test_other_names_shapes_and_dtypes_fail(found: dict[str, np.ndarray], words: str) -> None:
    verdict = compare({"y": np.zeros(2, np.float32)}, found, Tolerance(1e300))
    assert not verdict.ok
    assert re.search(words, verdict.detail)
    assert json.loads(json.dumps(verdict.row(), allow_nan=False))["max_abs_error"] is None
