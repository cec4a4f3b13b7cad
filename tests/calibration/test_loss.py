"""Mirrors calibration/loss.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, rel_entr, softmax

from lamella.calibration import loss
from lamella.calibration.data import Batch
from lamella.calibration.loss import Distance, observed
from lamella.errors import CalibrationError

BATCH = Batch((), {}, None, 0)


def distance(left: torch.Tensor, right: torch.Tensor, metric: loss.Metric) -> float:
    found = Distance(metric)
    for a, b in zip(left, right, strict=True):
        found.add(observed(a, metric, BATCH), observed(b, metric, BATCH))
    return found.value


@pytest.mark.parametrize("noise", [3.0, 1e-1, 1e-3])
def test_the_divergence_is_that_of_scipy(noise: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "_PIECE", 300)
    rng = np.random.default_rng(0)
    left = (5 * rng.standard_normal((3, 7, 90))).astype(np.float32)
    right = (left + noise * rng.standard_normal(left.shape)).astype(np.float32)
    p, q = softmax(left.astype(np.float64), -1), softmax(right.astype(np.float64), -1)
    expected = rel_entr(p, q).sum(-1).mean()
    found = distance(torch.from_numpy(left), torch.from_numpy(right), "kl")
    # Log-probabilities near -20 carry errors of 1e-6; a gap of `noise` turns them into 1e-6/noise.
    assert found == pytest.approx(expected, rel=1e-5 + 4e-6 / noise)


def test_equal_outputs_are_at_distance_zero() -> None:
    values = torch.randn(2, 3, 8)
    assert distance(values, values, "kl") == 0
    assert distance(values, values, "relative") == 0


def test_impossible_classes_and_far_apart_logits_are_counted() -> None:
    left = torch.tensor([[[0.0, -torch.inf, 0.0]]])
    right = torch.tensor([[[0.0, -torch.inf, 1.0]]])
    p, q = (softmax(each.double().numpy(), -1) for each in (left, right))
    assert distance(left, right, "kl") == pytest.approx(rel_entr(p, q).sum(), rel=1e-6)
    left, right = torch.tensor([[[0.0, 300.0]]]), torch.tensor([[[300.0, 0.0]]])
    assert distance(left, right, "kl") == pytest.approx(300, rel=1e-6)


def test_outputs_that_are_not_finite_are_infinitely_far() -> None:
    left = torch.zeros(1, 2, 3)
    assert distance(left, torch.full_like(left, torch.nan), "kl") == float("inf")
    assert distance(left, torch.full_like(left, torch.nan), "relative") == float("inf")


def test_the_relative_error_averages_over_output_tensors() -> None:
    rng = np.random.default_rng(1)
    left = [(torch.tensor(rng.random((2, 3))), {"b": torch.tensor(rng.random(4))}) for _ in "ab"]
    right = [(a + 0.1, {"b": c["b"] * 1.5}) for a, c in left]
    found = Distance("relative")
    for a, b in zip(left, right, strict=True):
        found.add(observed(a, "relative", BATCH), observed(b, "relative", BATCH))
    energy = sum(float((a**2).sum()) for a, _ in left)
    assert found.value == pytest.approx((12 * 0.01 / energy + 0.25) / 2, rel=1e-6)


def test_logits_are_taken_by_name_and_padding_is_left_out() -> None:
    mask = torch.tensor([[True, True, False]])
    output = {"hidden": torch.zeros(1, 3, 2), "logits": torch.randn(1, 3, 5), "ids": torch.ones(3)}
    (found,) = observed(output, "kl", Batch((), {}, mask, 0))
    expected = log_softmax(output["logits"][0, :2].double().numpy(), -1)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_a_model_without_a_float_output_is_refused() -> None:
    with pytest.raises(CalibrationError, match="no floating-point tensor"):
        observed({"ids": torch.ones(3, dtype=torch.int64)}, "relative", BATCH)


def test_the_trace_loss_is_the_relative_error_of_the_outputs() -> None:
    rng = np.random.default_rng(2)
    weight = rng.standard_normal((6, 5)).astype(np.float32)
    changed = weight + 0.1 * rng.standard_normal(weight.shape).astype(np.float32)
    inputs = rng.standard_normal((40, 2, 5)).astype(np.float32)
    moment = np.einsum("npc,npd->pcd", inputs, inputs) / 40
    outputs = [
        np.einsum("npc,poc->npo", inputs, each.reshape(2, 3, 5)) for each in (weight, changed)
    ]
    expected = ((outputs[1] - outputs[0]) ** 2).sum() / (outputs[0] ** 2).sum()
    assert loss.trace_loss(weight, changed, moment) == pytest.approx(expected, rel=1e-4)
    assert loss.trace_loss(weight * 0, weight * 0, moment) == 0


def test_the_loss_of_an_embedding_weighs_rows_by_their_use() -> None:
    rng = np.random.default_rng(3)
    table = rng.standard_normal((7, 4)).astype(np.float32)
    changed = table + 0.1 * rng.standard_normal(table.shape).astype(np.float32)
    ids = rng.integers(0, 5, 30)
    expected = ((changed[ids] - table[ids]) ** 2).sum() / (table[ids] ** 2).sum()
    counts = np.bincount(ids, minlength=7)
    assert loss.lookup_loss(table, changed, counts) == pytest.approx(expected, rel=1e-5)


def test_decibels_have_a_ceiling() -> None:
    assert loss.decibels(0.01, 1.0) == pytest.approx(20)
    assert loss.decibels(0.0, 1.0) == loss.SILENCE_DB
    assert loss.decibels(1.0, 0.0) == 0
