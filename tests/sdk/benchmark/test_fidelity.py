"""Mirrors sdk/lamella/benchmark/fidelity.py: closed forms, scipy and torch as oracles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.special import rel_entr, softmax

from lamella.benchmark import fidelity
from lamella.benchmark.fidelity import Evaluator, Fidelity
from lamella.errors import CalibrationError, InputError

Array = npt.NDArray[Any]
RNG = np.random.default_rng(0)


def batches(count: int, rows: int = 6) -> list[dict[str, Array]]:
    rng = np.random.default_rng(1)
    return [{"x": rng.normal(size=(rows + at, 5)).astype(np.float32)} for at in range(count)]


def scaled(factor: float) -> Any:
    """A model that multiplies its input and adds a fixed pattern."""
    pattern = np.random.default_rng(2).normal(size=5).astype(np.float32)

    def predict(batch: Mapping[str, Array]) -> dict[str, Array]:
        return {"y": batch["x"] + factor * pattern}

    return predict


def measured(metric: str, factor: float = 0.3, count: int = 4) -> Fidelity:
    return Evaluator(metric, batches(count), scaled(0)).measure(scaled(factor))[0]


def outputs(factor: float, count: int = 4) -> Array:
    return np.concatenate([scaled(factor)(batch)["y"] for batch in batches(count)])


def test_agreement_is_the_share_of_equal_answers() -> None:
    found = measured("agreement", 1.5)
    expected = float((outputs(0).argmax(1) == outputs(1.5).argmax(1)).mean())
    assert 0 < expected < 1
    assert (found.value, found.drop) == pytest.approx((expected, 1 - expected))


def test_kl_is_that_of_scipy() -> None:
    p, q = (softmax(outputs(factor).astype(np.float64), -1) for factor in (0, 0.3))
    found = measured("kl")
    assert found.value == pytest.approx(rel_entr(p, q).sum(-1).mean(), rel=1e-6)
    assert found.drop == found.value


def test_kl_stands_logits_that_overflow_exp() -> None:
    left, right = np.array([[1e4, 0.0, -1e4]], np.float32), np.array([[1e4, 1.0, 0.0]], np.float32)
    assert fidelity.kl(left, right) == (0.0, 1.0)


def test_cosine_is_the_mean_over_vectors() -> None:
    a, b = (torch.from_numpy(outputs(factor)).double() for factor in (0, 0.3))
    expected = float(torch.cosine_similarity(a, b).mean())
    assert measured("cosine").value == pytest.approx(expected, rel=1e-6)
    assert measured("cosine").drop == pytest.approx(1 - expected, rel=1e-6)


def test_relative_is_squared_error_over_energy() -> None:
    a, b = outputs(0).astype(np.float64), outputs(0.3).astype(np.float64)
    assert measured("relative").value == pytest.approx(((a - b) ** 2).sum() / (a**2).sum())


def test_a_model_that_is_the_float_one_has_no_drop() -> None:
    for metric in fidelity.COMPARISONS:
        assert measured(metric, 0.0).drop == pytest.approx(0, abs=1e-12)


def test_companions_are_measured_on_the_same_outputs() -> None:
    rows = Evaluator("agreement", batches(4), scaled(0)).measure(scaled(0.3))
    assert [row.name for row in rows] == ["agreement", "kl", "relative"]
    assert rows[1] == measured("kl")


def text(count: int, length: int, pad: int = 0) -> list[dict[str, Array]]:
    rng = np.random.default_rng(3)
    mask = np.ones((2, length), np.int64)
    mask[1, length - pad :] = 0
    ids = rng.integers(0, 11, size=(count, 2, length))
    return [{"input_ids": part, "attention_mask": mask} for part in ids]


def language_model(noise: float) -> Any:
    table = np.random.default_rng(4).normal(size=(11, 11))
    other = np.random.default_rng(5).normal(size=(11, 11))

    def predict(batch: Mapping[str, Array]) -> dict[str, Array]:
        return {"logits": (table + noise * other)[batch["input_ids"]].astype(np.float32)}

    return predict


@pytest.mark.parametrize("length", [8, 9, 2])
@pytest.mark.parametrize("pad", [0, 1])
def test_perplexity_is_that_of_torch_on_the_second_halves(length: int, pad: int) -> None:
    data = text(3, length, pad)
    found = Evaluator("perplexity", data, language_model(0)).measure(language_model(0.5))[0]

    def expected(noise: float) -> float:
        losses = []
        for batch in data:
            logits = torch.from_numpy(language_model(noise)(batch)["logits"]).double()
            for row in range(2):
                for at in range(length // 2, length):
                    if batch["attention_mask"][row, at]:
                        target = torch.tensor(int(batch["input_ids"][row, at]))
                        scores = logits[row, at - 1]
                        losses.append(float(torch.nn.functional.cross_entropy(scores, target)))
        return math.exp(sum(losses) / len(losses))

    assert found.value == pytest.approx(expected(0.5), rel=1e-6)
    assert found.drop == pytest.approx(expected(0.5) / expected(0) - 1, rel=1e-6)


def test_a_hopeless_language_model_has_an_infinite_perplexity_and_no_crash() -> None:
    def hopeless(batch: Mapping[str, Array]) -> dict[str, Array]:
        ids = batch["input_ids"]
        return {"logits": 1e6 * np.eye(11, dtype=np.float32)[(np.roll(ids, -1, 1) + 1) % 11]}

    found = Evaluator("perplexity", text(3, 8), language_model(0)).measure(hopeless)[0]
    assert (found.value, found.drop) == (math.inf, math.inf)


def brute_force(parts: Sequence[tuple[float, float]]) -> float:
    """The jackknife standard error of a ratio, from its definition in Efron 1982, eq. 3.1."""
    count = len(parts)
    values = []
    for left_out in range(count):
        kept = [part for at, part in enumerate(parts) if at != left_out]
        values.append(sum(top for top, _ in kept) / sum(bottom for _, bottom in kept))
    mean = sum(values) / count
    return math.sqrt((count - 1) / count * sum((value - mean) ** 2 for value in values))


@pytest.mark.parametrize("metric", list(fidelity.COMPARISONS))
def test_the_spread_is_the_jackknife_over_batches(metric: str) -> None:
    compare = fidelity.COMPARISONS[metric]
    parts = [compare(scaled(0)(batch)["y"], scaled(0.3)(batch)["y"]) for batch in batches(4)]
    assert measured(metric).spread == pytest.approx(brute_force(parts), rel=1e-9)


def test_the_spread_of_equal_batches_of_a_mean_is_the_usual_standard_error() -> None:
    parts = [(value, 1.0) for value in (0.1, 0.4, 0.2, 0.9)]
    usual = np.std([value for value, _ in parts], ddof=1) / math.sqrt(len(parts))
    assert fidelity._standard_error(parts) == pytest.approx(usual)


def test_one_batch_has_no_spread() -> None:
    assert measured("kl", count=1).spread == 0.0


def test_the_spread_of_perplexity_is_that_of_its_logarithm_times_its_value() -> None:
    data = text(4, 8)
    found = Evaluator("perplexity", data, language_model(0)).measure(language_model(0.5))[0]
    parts = [
        fidelity.next_token_loss(batch["input_ids"], language_model(0.5)(batch)["logits"])
        for batch in data
    ]
    assert found.spread == pytest.approx(found.value * brute_force(parts), rel=1e-9)


def test_outputs_of_nothing_but_zeros_lose_nothing_or_everything() -> None:
    silent = Evaluator("relative", batches(2), lambda batch: {"y": 0 * batch["x"]})
    assert silent.measure(lambda batch: {"y": 0 * batch["x"]})[0].drop == 0.0
    assert silent.measure(scaled(1))[0].drop == math.inf


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(InputError, match="unknown metric 'beauty'; use one of agreement"):
        Evaluator("beauty", batches(1), scaled(0))
    with pytest.raises(CalibrationError, match="no batches to evaluate on"):
        Evaluator("kl", [], scaled(0))
    with pytest.raises(CalibrationError, match="evaluation batch 1 with NaN"):
        Evaluator("kl", batches(2), lambda b: {"y": b["x"] + (np.nan if len(b["x"]) > 6 else 0)})
