"""Mirrors sdk/lamella/runtime/sampling.py, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from lamella.errors import DeviceError, InputError
from lamella.runtime.sampling import GREEDY, Sampler, Sampling, probabilities

# With temperature 1 the probabilities are 1/10, 2/10, 3/10 and 4/10.
LOGITS = np.log(np.array([1, 2, 3, 4], np.float32))


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (GREEDY, [0, 0, 0, 1]),
        (Sampling(1.0), [0.1, 0.2, 0.3, 0.4]),
        (Sampling(0.5), [1 / 30, 4 / 30, 9 / 30, 16 / 30]),
        (Sampling(1.0, top_k=2), [0, 0, 3 / 7, 4 / 7]),
        (Sampling(1.0, top_k=9), [0.1, 0.2, 0.3, 0.4]),
        (Sampling(1.0, top_p=0.39), [0, 0, 0, 1]),
        (Sampling(1.0, top_p=0.41), [0, 0, 3 / 7, 4 / 7]),
        (Sampling(1.0, top_p=0.71), [0, 2 / 9, 3 / 9, 4 / 9]),
        # Top-p counts what top-k has left: 4/7 and 3/7.
        (Sampling(1.0, top_k=2, top_p=0.5), [0, 0, 0, 1]),
        (Sampling(1.0, top_k=2, top_p=0.6), [0, 0, 3 / 7, 4 / 7]),
    ],
)
def test_probabilities_are_the_closed_form(sampling: Sampling, expected: list[float]) -> None:
    np.testing.assert_allclose(probabilities(LOGITS, sampling), expected, atol=1e-7)


@pytest.mark.parametrize("sampling", [Sampling(1.0), Sampling(0.5, top_k=3, top_p=0.9)])
def test_draws_follow_the_probabilities(sampling: Sampling) -> None:
    expected = probabilities(LOGITS, sampling)
    sampler = Sampler(sampling)
    count = 20_000
    seen = np.bincount([sampler.draw(LOGITS) for _ in range(count)], minlength=4)
    # Five standard deviations of a binomial: the chance of a false alarm is below 1e-5.
    bound = 5 * np.sqrt(count * expected * (1 - expected))
    assert (np.abs(seen - count * expected) <= bound).all()
    assert not seen[expected == 0].any()


def test_the_seed_decides_the_tokens() -> None:
    def tokens(seed: int) -> list[int]:
        sampler = Sampler(Sampling(1.0, seed=seed))
        return [sampler.draw(LOGITS) for _ in range(50)]

    assert tokens(1) == tokens(1)
    assert tokens(1) != tokens(2)


def test_ties_go_to_the_lowest_id() -> None:
    flat = np.zeros(5, np.float32)
    assert Sampler(GREEDY).draw(flat) == 0
    assert probabilities(flat, Sampling(1.0, top_k=2)).tolist() == [0.5, 0.5, 0, 0, 0]


def test_banned_tokens_are_never_drawn() -> None:
    logits = np.array([-np.inf, 0, -np.inf], np.float32)
    sampler = Sampler(Sampling(2.0))
    assert {sampler.draw(logits) for _ in range(200)} == {1}


def test_a_tiny_temperature_is_greedy() -> None:
    np.testing.assert_array_equal(probabilities(LOGITS, Sampling(1e-300)), [0, 0, 0, 1])


@pytest.mark.parametrize(
    "logits", [[0, np.nan], [np.inf, 0], [-np.inf, -np.inf], []], ids=["nan", "inf", "none", "[]"]
)
def test_logits_without_a_choice_are_refused(logits: list[float]) -> None:
    for sampling in (GREEDY, Sampling(1.0)):
        with pytest.raises(DeviceError, match="no token can be chosen"):
            Sampler(sampling).draw(np.array(logits, np.float32))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"temperature": -1.0}, "temperature must be 0 or more"),
        ({"temperature": float("nan")}, "temperature must be 0 or more"),
        ({"top_k": -1}, "top_k must be 0"),
        ({"top_p": 0.0}, r"top_p must be in \(0, 1\]"),
        ({"top_p": 1.5}, r"top_p must be in \(0, 1\]"),
        ({"seed": -1}, "seed must be 0 or more"),
    ],
)
def test_impossible_settings_are_refused(fields: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Sampling(**fields)  # type: ignore[arg-type]
