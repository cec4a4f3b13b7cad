"""Mirrors sdk/lamella/artifact/documents.py."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamella.artifact import documents
from lamella.errors import ArtifactError

LETTERS = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | LETTERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(LETTERS, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_is_read_back(value: Any) -> None:
    text = documents.dump(value, "x")
    assert documents.parse(text, "x") == value
    assert documents.dump(documents.parse(text, "x"), "x") == text


@given(VALUES)
def test_depth_is_that_of_the_value(value: Any) -> None:
    def depth(item: Any) -> int:
        if isinstance(item, dict):
            return 1 + max(map(depth, item.values()), default=0)
        return 1 + max(map(depth, item), default=0) if isinstance(item, list) else 0

    assert documents._depth(json.dumps(value).encode()) == depth(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"{} {}", "not valid JSON"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b"\xff", "byte 0 is not UTF-8"),
        (b'"\xed\xa0\x80"', "byte 1 is not UTF-8"),
        (b'"\\ud800"', "half a surrogate pair"),
        (b"NaN", "NaN is not a JSON number"),
        (b"[-Infinity]", "-Infinity is not a JSON number"),
        (b"1e999", "not valid JSON"),
        (b"9223372036854775808", "does not fit 64 bits"),
        (b"1" * 5000, "does not fit 64 bits"),
        (b'{"a":1,"a":2}', "the key 'a' comes twice"),
        (b'{"a":{"b":1,"b":1}}', "the key 'b' comes twice"),
        (b"[" * 33 + b"]" * 33, "deeper than 32"),
        (b"[" * 1_000_000, "deeper than 32"),
        (b'{"a":' * 500_000, "deeper than 32"),
        (b" " * (documents.MAX_BYTES + 1), "the limit is 4194304"),
    ],
)
def test_bad_text_is_refused(text: bytes, words: str) -> None:
    with pytest.raises(ArtifactError, match=words):
        documents.parse(text, "x")


def test_the_deepest_allowed_nesting_is_read() -> None:
    assert documents.parse(b"[" * 32 + b"]" * 32, "x")


def test_a_cycle_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ArtifactError, match="not expressible as JSON"):
        documents.dump(loop, "x")
