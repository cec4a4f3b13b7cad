"""Mirrors sdk/lamella/runtime/decoder.py, with toy language models written in Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamella.artifact.manifest import Port
from lamella.errors import DeviceError, InputError
from lamella.runtime.decoder import (
    CachedDecoder,
    RecomputingDecoder,
    decoder_feeds,
    has_cache,
    open_decoder,
)
from lamella.runtime.generate import generate_ids
from lamella.runtime.sampling import Sampling
from lamella.runtime.session import Session

OpenSession = Callable[..., Session]
Ports = dict[str, tuple[str, tuple[Any, ...]]]

VOCABULARY = 11
IDS: Ports = {"input_ids": ("int64", ("batch", "sequence"))}
MASK: Ports = {"attention_mask": ("int64", ("batch", "total"))}
POSITIONS: Ports = {"position_ids": ("int64", ("batch", "sequence"))}
CACHE: Ports = {
    f"past_key_values.{block}.{part}": ("float16", ("batch", 2, "past", 3))
    for block in range(2)
    for part in ("key", "value")
}
PRESENT: Ports = {
    name.replace("past_key_values", "present"): ("float16", ("batch", 2, "total", 3))
    for name in CACHE
}
LOGITS: Ports = {"logits": ("float32", ("batch", "sequence", VOCABULARY))}


def logits_after(ids: list[int]) -> list[float]:
    """The toy: the likeliest token is 3 times the sum of all tokens, plus 1; others vary."""
    peak = (3 * sum(ids) + 1) % VOCABULARY
    return [-abs(token - peak) / 4 for token in range(VOCABULARY)]


def expected_tokens(prompt: list[int], count: int) -> list[int]:
    ids = list(prompt)
    for _ in range(count):
        ids.append(int(np.argmax(logits_after(ids))))
    return ids[len(prompt) :]


class Recomputing:
    """Computes every position from the ids alone and notes how many it was asked for."""

    def __init__(self) -> None:
        self.widths: list[int] = []

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        (ids,) = feeds["input_ids"].tolist()
        self.widths.append(len(ids))
        if "position_ids" in feeds:
            assert feeds["position_ids"].tolist() == [list(range(len(ids)))]
        if "attention_mask" in feeds:
            known = int(feeds["attention_mask"].sum())
            assert feeds["attention_mask"].tolist() == [[1] * known + [0] * (len(ids) - known)]
            assert not any(ids[known:])
        rows = [logits_after(ids[: end + 1]) for end in range(len(ids))]
        return {"logits": np.array([rows], np.float32)}


class Cached:
    """Knows earlier tokens only through the cache, where it stores them."""

    def __init__(self) -> None:
        self.widths: list[int] = []

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        (ids,) = feeds["input_ids"].tolist()
        self.widths.append(len(ids))
        caches = [feeds[name] for name in CACHE]
        past = caches[0][0, 0, :, 0].astype(int).tolist()
        assert all(cache.shape == (1, 2, len(past), 3) for cache in caches)
        total = past + ids
        assert feeds["attention_mask"].tolist() == [[1] * len(total)]
        assert feeds["position_ids"].tolist() == [list(range(len(past), len(total)))]
        rows = [logits_after(total[: len(past) + end + 1]) for end in range(len(ids))]
        cache = np.broadcast_to(np.array(total)[None, None, :, None], (1, 2, len(total), 3))
        present = {name: cache.astype(np.float16) for name in PRESENT}
        return {"logits": np.array([rows], np.float32), **present}


PROMPT = [4, 0, 7]


@pytest.mark.parametrize("inputs", [IDS, IDS | MASK, MASK | POSITIONS | IDS])
def test_a_program_without_cache_sees_the_whole_text(
    open_session: OpenSession, inputs: Ports
) -> None:
    runner = Recomputing()
    session = open_session(runner, inputs, LOGITS)
    assert isinstance(open_decoder(session), RecomputingDecoder)
    tokens = list(generate_ids(session, PROMPT, max_new_tokens=6))
    assert tokens == expected_tokens(PROMPT, 6)
    assert runner.widths == [3, 4, 5, 6, 7, 8]


def test_a_program_with_cache_sees_only_what_is_new(open_session: OpenSession) -> None:
    runner = Cached()
    session = open_session(runner, IDS | MASK | POSITIONS | CACHE, LOGITS | PRESENT)
    assert isinstance(open_decoder(session), CachedDecoder)
    tokens = list(generate_ids(session, PROMPT, max_new_tokens=6))
    assert tokens == expected_tokens(PROMPT, 6)
    assert runner.widths == [3, 1, 1, 1, 1, 1]


def test_both_kinds_sample_the_same_text(open_session: OpenSession) -> None:
    sampling = Sampling(temperature=1.5, seed=3)
    plain = open_session(Recomputing(), IDS, LOGITS)
    cached = open_session(Cached(), IDS | MASK | POSITIONS | CACHE, LOGITS | PRESENT)
    texts = [
        list(generate_ids(session, PROMPT, max_new_tokens=30, sampling=sampling))
        for session in (plain, cached)
    ]
    assert texts[0] == texts[1]
    assert texts[0] != expected_tokens(PROMPT, 30)


def test_a_program_of_fixed_length_is_padded_behind_the_text(open_session: OpenSession) -> None:
    fixed = dict.fromkeys(IDS | MASK | POSITIONS, ("int32", (1, 6)))
    runner = Recomputing()
    session = open_session(runner, fixed, LOGITS)
    assert list(generate_ids(session, PROMPT, max_new_tokens=4)) == expected_tokens(PROMPT, 4)
    assert set(runner.widths) == {6}
    with pytest.raises(InputError, match="compiled for texts of 6 tokens; this one has 7"):
        list(generate_ids(session, PROMPT, max_new_tokens=5))


def test_two_texts_of_one_session_do_not_mix(open_session: OpenSession) -> None:
    session = open_session(Cached(), IDS | MASK | POSITIONS | CACHE, LOGITS | PRESENT)
    first = generate_ids(session, [1], max_new_tokens=5)
    second = generate_ids(session, [2], max_new_tokens=5)
    pairs = list(zip(first, second, strict=True))
    assert [a for a, _ in pairs] == expected_tokens([1], 5)
    assert [b for _, b in pairs] == expected_tokens([2], 5)


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        ({"x": ("float32", (1, 3))}, LOGITS, "needs x; its inputs are x"),
        (IDS | {"pixels": ("float32", (1,))}, LOGITS, "needs pixels; its inputs are"),
        (MASK, LOGITS, "takes no input_ids"),
        ({"input_ids": ("int64", ("n",))}, LOGITS, r"'input_ids' has shape \('n',\)"),
        ({"input_ids": ("int64", (2, "n"))}, LOGITS, r"'input_ids' has shape \(2, 'n'\)"),
        (IDS, {"a": LOGITS["logits"], "b": LOGITS["logits"]}, "a, b are the logits"),
        (IDS | CACHE, LOGITS, r"does not give present\.0\.key, present\.0\.value"),
    ],
)
def test_what_is_no_language_model_is_refused(
    open_session: OpenSession, inputs: Ports, outputs: Ports, words: str
) -> None:
    session = open_session(Recomputing(), inputs, outputs)
    with pytest.raises(DeviceError, match=words):
        open_decoder(session)


def ports(side: Ports) -> list[Port]:
    return [Port(name, dtype, shape) for name, (dtype, shape) in side.items()]


def test_whole_texts_are_fed_with_an_empty_past() -> None:
    ids = np.array([[4, 0, 7], [1, 2, 3]], np.int32)
    feeds = decoder_feeds(ports(IDS | MASK | POSITIONS | CACHE), ids)
    assert feeds.keys() == (IDS | MASK | POSITIONS | CACHE).keys()
    assert feeds["input_ids"].tolist() == ids.tolist()
    assert feeds["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert feeds["position_ids"].tolist() == [[0, 1, 2], [0, 1, 2]]
    assert {feeds[name].dtype.name for name in IDS | MASK | POSITIONS} == {"int64"}
    assert {(feeds[name].shape, feeds[name].dtype.name) for name in CACHE} == {
        ((2, 2, 0, 3), "float16")
    }


def test_what_a_program_does_not_take_is_not_fed() -> None:
    feeds = decoder_feeds(ports(IDS | CACHE), np.array([[1, 2]]))
    assert feeds.keys() == (IDS | CACHE).keys()


def test_a_program_has_a_cache_if_it_takes_a_past() -> None:
    assert has_cache(ports(IDS | CACHE))
    assert not has_cache(ports(IDS | MASK | POSITIONS))


class Fixed:
    """Gives the same array whatever comes."""

    def __init__(self, logits: Any) -> None:
        self.logits = logits

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        return {"result": self.logits}


@pytest.mark.parametrize("shape", [(1, 3, 4), (1, 1, 4), (1, 4)])
def test_the_last_row_of_the_only_output_is_read(
    open_session: OpenSession, shape: tuple[int, ...]
) -> None:
    logits = np.arange(np.prod(shape), dtype=np.float16).reshape(shape)
    session = open_session(Fixed(logits), IDS, {"result": ("float16", shape)})
    found = open_decoder(session).advance([1, 2, 3])
    assert found.tolist() == logits.reshape(-1, 4)[-1].tolist()


@pytest.mark.parametrize("logits", [np.zeros((1, 3, 4), np.int64), np.zeros(4), np.zeros((0, 4))])
def test_other_outputs_are_no_logits(open_session: OpenSession, logits: Any) -> None:
    session = open_session(Fixed(logits), IDS, {"result": ("float32", (None,))})
    with pytest.raises(DeviceError, match=r"the logits are .* of shape"):
        open_decoder(session).advance([1])
