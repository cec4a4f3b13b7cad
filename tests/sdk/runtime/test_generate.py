"""Mirrors sdk/lamella/runtime/generate.py, with real tokenizers and a program that recites."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from lamella.errors import ArtifactError, DeviceError, InputError
from lamella.runtime.generate import generate, generate_ids, pieces, stream
from lamella.runtime.sampling import Sampling
from lamella.runtime.session import Session

OpenSession = Callable[..., Session]
LOGITS = {"logits": ("float32", (1, "n", 4))}


def byte_tokenizer() -> Tokenizer:
    """One token per byte, so that a character spreads over up to four tokens."""
    vocabulary = {letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<end>"])
    return tokenizer


def word_tokenizer() -> Tokenizer:
    """One token per word; the decoder drops the space before the first."""
    words = ["<end>", "\u2581the", "\u2581cat", "\u2581sat", "s"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "<end>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


BYTES = byte_tokenizer()
END = BYTES.token_to_id("<end>")


class Reciter:
    """Continues any prompt of `start` tokens with given tokens, then with the last of them."""

    def __init__(self, start: int, tokens: list[int], vocabulary: int) -> None:
        self.start, self.tokens, self.vocabulary = start, tokens, vocabulary
        self.widths: list[int] = []

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        count = feeds["input_ids"].shape[1]
        self.widths.append(count)
        place = max(count - self.start, 0)
        token = self.tokens[min(place, len(self.tokens) - 1)]
        logits = np.zeros((1, count, self.vocabulary), np.float32)
        logits[0, -1, token] = 9
        return {"logits": logits}


def reciter(
    open_session: OpenSession,
    tokenizer: Tokenizer,
    prompt: str,
    tokens: list[int],
    **generation: Any,
) -> tuple[Session, Reciter]:
    size = tokenizer.get_vocab_size()
    runner = Reciter(len(tokenizer.encode(prompt).ids), tokens, size)
    session = open_session(
        runner,
        {"input_ids": ("int64", ("batch", "sequence"))},
        {"logits": ("float32", ("batch", "sequence", size))},
        generation=generation,
        attachments={"tokenizer.json": tokenizer.to_str().encode()},
    )
    return session, runner


TEXT = "grüße, 世界 👩‍🚀!"


def test_the_text_is_what_the_program_recites(open_session: OpenSession) -> None:
    tokens = BYTES.encode(TEXT).ids
    session, _ = reciter(open_session, BYTES, "Hallo", tokens)
    assert generate(session, "Hallo", max_new_tokens=len(tokens)) == TEXT


def test_pieces_never_end_inside_a_character(open_session: OpenSession) -> None:
    tokens = BYTES.encode(TEXT).ids
    session, _ = reciter(open_session, BYTES, "Hallo", tokens)
    found = list(stream(session, "Hallo", max_new_tokens=len(tokens)))
    assert "".join(found) == TEXT
    assert found == list(TEXT)


def test_pieces_come_as_soon_as_they_are_known(open_session: OpenSession) -> None:
    session, runner = reciter(open_session, BYTES, "a", BYTES.encode("xyz").ids)
    text = stream(session, "a", max_new_tokens=3)
    assert not runner.widths
    assert next(text) == "x"
    assert len(runner.widths) == 1


def test_an_end_token_stops_the_text(open_session: OpenSession) -> None:
    tokens = [*BYTES.encode("done").ids, END, *BYTES.encode("more").ids]
    session, runner = reciter(open_session, BYTES, "a", tokens, eos_token_ids=[7, END])
    assert generate(session, "a", max_new_tokens=50) == "done"
    assert len(runner.widths) == 5


def test_the_number_of_new_tokens_is_a_bound(open_session: OpenSession) -> None:
    session, runner = reciter(open_session, BYTES, "a", BYTES.encode("x").ids)
    assert generate(session, "a", max_new_tokens=5) == "xxxxx"
    assert generate(session, "a", max_new_tokens=0) == ""
    assert len(runner.widths) == 5
    with pytest.raises(InputError, match="max_new_tokens must be 0 or more, not -1"):
        stream(session, "a", max_new_tokens=-1)


def test_prompt_and_answer_fit_the_context(open_session: OpenSession) -> None:
    session, _ = reciter(open_session, BYTES, "abc", BYTES.encode("x").ids, context_length=5)
    assert generate(session, "abc", max_new_tokens=50) == "xx"
    with pytest.raises(InputError, match=r"the prompt has 5 tokens; .* holds 5 with the answer"):
        stream(session, "abcde")


def test_an_empty_prompt_needs_a_begin_token(open_session: OpenSession) -> None:
    tokens = BYTES.encode("x").ids
    session, _ = reciter(open_session, BYTES, "a", tokens)
    with pytest.raises(InputError, match="the prompt has no tokens"):
        stream(session, "")
    session, _ = reciter(open_session, BYTES, "a", tokens, bos_token_id=END)
    assert generate(session, "", max_new_tokens=2) == "xx"


def test_a_word_keeps_the_space_before_it(open_session: OpenSession) -> None:
    words = word_tokenizer()
    session, _ = reciter(open_session, words, "the cat", [3, 1, 2, 4])
    found = list(stream(session, "the cat", max_new_tokens=4))
    assert found == [" sat", " the", " cat", "s"]


def test_truncation_and_padding_of_the_tokenizer_are_off(open_session: OpenSession) -> None:
    prompt = "long enough"
    tokenizer = byte_tokenizer()
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=64)
    session, runner = reciter(open_session, tokenizer, prompt, [5])
    generate(session, prompt, max_new_tokens=1)
    assert runner.widths == [len(prompt)]


def test_the_seed_decides_the_text(open_session: OpenSession) -> None:
    session, _ = reciter(open_session, BYTES, "a", BYTES.encode("x").ids)

    def text(seed: int) -> list[int]:
        sampling = Sampling(temperature=5.0, seed=seed)
        return list(generate_ids(session, [1], max_new_tokens=20, sampling=sampling))

    assert text(1) == text(1)
    assert text(1) != text(2)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"version":"1.0"}', b"[" * 10_000])
def test_a_malformed_tokenizer_is_a_sentence(open_session: OpenSession, content: bytes) -> None:
    ports = {"input_ids": ("int64", (1, "n"))}
    session = open_session(None, ports, LOGITS, attachments={"tokenizer.json": content})
    with pytest.raises(ArtifactError, match=r"tokenizer\.json is malformed"):
        stream(session, "a")


def test_an_artifact_without_tokenizer_says_so(open_session: OpenSession) -> None:
    session = open_session(None, {"input_ids": ("int64", (1, "n"))}, LOGITS)
    with pytest.raises(ArtifactError, match=r"holds no tokenizer\.json"):
        stream(session, "a")


def test_a_program_that_is_no_language_model_is_refused_at_once(open_session: OpenSession) -> None:
    attachments = {"tokenizer.json": BYTES.to_str().encode()}
    session = open_session(None, {"x": ("float32", (3,))}, LOGITS, attachments=attachments)
    with pytest.raises(DeviceError, match="cannot generate text"):
        stream(session, "a")


LETTERS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(deadline=None, derandomize=True)
@given(prompt=LETTERS, answer=LETTERS)
def test_pieces_join_to_the_text(prompt: str, answer: str) -> None:
    ids, tokens = BYTES.encode(prompt).ids, BYTES.encode(answer).ids
    found = list(pieces(BYTES.decode, ids, iter(tokens)))
    assert "".join(found) == answer
    assert all(found)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(0, END), max_size=12))
def test_pieces_of_broken_bytes_join_to_what_the_tokenizer_decodes(tokens: list[int]) -> None:
    assert "".join(pieces(BYTES.decode, [], iter(tokens))) == BYTES.decode(tokens)
