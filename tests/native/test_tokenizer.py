"""Mirrors native/engine/tokenizer: ids and texts are those of the library tokenizers."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from lamella import _native
from lamella.targets.native.chat import compile_chat
from lamella.targets.native.tokenizer import compile_tokenizer
from native import tokenizer_families as families

NAMES = [family.__name__ for family in families.FAMILIES]
each_family = pytest.mark.parametrize("name", NAMES)

# Half of a text that is made at random comes from these.
SEASONED = [
    *("'s", "'T", "'ll", "▁", "<s>", "</s>", "<unk>", "<|end|>", "<|endoftext|>", "<mask>"),
    *("<|im_start|>", "[INST]", "<0x41>", "<h1>", "<tool_call>", "<|begin_of_text|>", "<bos>"),
    *("\u00e9t\u00e9", "e\u0301te\u0301", "the", "ing", "12", "345", "\n\n", "\t\t"),
]
# The planes that hold characters; of long stretches of alike ones, every 16th.
ALIKE = [range(0x3500, 0x4D00), range(0x4F00, 0x9F00), range(0xAD00, 0xD700), range(0xE100, 0xF800)]
ALIKE += [range(0x17100, 0x18C00), range(0x20100, 0x31300)]
CODES = [*range(0xD800), *range(0xE000, 0x32000), *range(0xE0000, 0xE0200)]
CODES = [code for code in CODES if code % 16 == 0 or not any(code in part for part in ALIKE)]
PIECES = st.sampled_from([*SEASONED, " ", "  ", "\n", "\r\n", "\n\n\n", "\u0301", "\u0323", "."])
TEXT = st.lists(PIECES | st.text(max_size=6), max_size=12).map("".join)


@cache
def library(name: str) -> Tokenizer:
    made: Tokenizer = getattr(families, name)()
    return made


@cache
def blob(name: str) -> bytes:
    chat = compile_chat("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}", {})
    return compile_tokenizer(library(name).to_str(), chat)


@cache
def engine(name: str) -> _native.Tokenizer:
    return _native.Tokenizer(blob(name))


def each_character(context: str) -> Iterator[str]:
    """Yields texts that have every code point in the place of {}."""
    for at in range(0, len(CODES), 4096):
        yield "".join(context.replace("{}", chr(code)) for code in CODES[at : at + 4096])


def streamed(name: str, ids: list[int], skip_special: bool) -> str:
    stream = engine(name).stream(skip_special)
    return "".join([*map(stream.push, ids), stream.finish()])


def check(name: str, text: str) -> None:
    for add_special in (True, False):
        ids = library(name).encode(text, add_special_tokens=add_special).ids
        assert engine(name).encode(text, add_special) == ids
        for skip_special in (True, False):
            expected = library(name).decode(ids, skip_special_tokens=skip_special)
            assert engine(name).decode(ids, skip_special) == expected
            assert streamed(name, ids, skip_special) == expected


@each_family
def test_texts_have_the_ids_of_the_library(name: str) -> None:
    for text in families.texts():
        check(name, text)


@each_family
@settings(max_examples=150, deadline=None)
@given(text=TEXT)
def test_any_text_has_the_ids_of_the_library(name: str, text: str) -> None:
    check(name, text)


@each_family
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), skip_special=st.booleans())
def test_any_ids_have_the_text_of_the_library(name: str, seed: int, skip_special: bool) -> None:
    generator = random.Random(seed)
    most = engine(name).vocabulary
    # Tokens for bytes and special ones are among the first.
    ids = [generator.randrange(generator.choice([280, most, most + 3])) for _ in range(30)]
    expected = library(name).decode(ids, skip_special_tokens=skip_special)
    assert engine(name).decode(ids, skip_special) == expected
    assert streamed(name, ids, skip_special) == expected


@each_family
@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=40))
def test_bytes_that_are_no_text_are_taken_for_replacement_characters(
    name: str, data: bytes
) -> None:
    text = data.decode("utf-8", errors="replace")
    assert engine(name).encode(data) == library(name).encode(text).ids


CUTS = {
    name: pre_tokenizers.Split(Regex(getattr(families, name)), "isolated")
    for name in ("LLAMA3", "QWEN2", "GPT2", "TEKKEN", "O200K")
} | {"digits": pre_tokenizers.Digits(individual_digits=True)}


def joining(cut: str, merges: Iterable[tuple[str, str]]) -> tuple[Tokenizer, _native.Tokenizer]:
    """Returns a tokenizer whose merges show where it cuts."""
    kept = list(dict.fromkeys(merges))
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    names = dict.fromkeys([*sorted(alphabet), *(left + right for left, right in kept)])
    made = Tokenizer(models.BPE({name: token for token, name in enumerate(names)}, kept))
    made.decoder = decoders.ByteLevel()
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([CUTS[cut], last])
    return made, _native.Tokenizer(compile_tokenizer(made.to_str()))


@pytest.mark.parametrize("cut", CUTS)
def test_every_character_is_cut_as_in_the_library(cut: str) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    before, after = "a1'", "bB1"
    merges = [*product(before, alphabet), *product(alphabet, after)]
    expected, opened = joining(cut, merges)
    for text in each_character("a{}b1{}B '{}b"):
        assert opened.encode(text) == expected.encode(text).ids, f"{text[:9]!r}..."


# Letters of every case and none, marks, numbers, short forms, and what stands beside words.
MIXED = "aBsLl\u01c5\u02b0\u65e5\u0301\u0915\u0940'/.1\u0663 \n\r\t\u00a0\u017f"


@cache
def joining_all(cut: str) -> tuple[Tokenizer, _native.Tokenizer]:
    spelled = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    letters = sorted(set(spelled.pre_tokenize_str(MIXED)[0][0]))
    return joining(cut, product(letters, letters))


@pytest.mark.parametrize("cut", CUTS)
@settings(max_examples=400, deadline=None)
@given(text=st.text(MIXED, max_size=12))
def test_any_words_are_cut_as_in_the_library(cut: str, text: str) -> None:
    expected, opened = joining_all(cut)
    assert opened.encode(text) == expected.encode(text).ids


def test_every_character_is_normalized_as_in_the_library() -> None:
    for text in each_character("a{}\u0323 \u1100{}\u11a8"):
        assert engine("qwen2").encode(text) == library("qwen2").encode(text).ids, text[:9]


@settings(max_examples=300, deadline=None)
@given(
    text=st.text(
        st.characters(categories=["Mn", "Mc"])
        | st.sampled_from("aeiouAEIOUy \u1100\u1161\u11a8\uac00\u0915\u09c7\u1025")
    )
)
def test_marks_are_sorted_and_composed_as_in_the_library(text: str) -> None:
    check("qwen2", text)


def test_a_stream_gives_whole_characters_as_soon_as_they_are_certain() -> None:
    stream, ids = engine("llama3").stream(), engine("llama3").encode("h\u00e9 \U0001f44d!", False)
    parts = [stream.push(id_) for id_ in ids]
    assert "".join(parts) == "h\u00e9 \U0001f44d!"
    assert stream.finish() == ""
    assert parts[-2].endswith("\U0001f44d")
    assert "" in parts
    assert stream.push(engine("llama3").encode("\U00012345", False)[0]) == ""
    assert stream.finish() == "\ufffd"
    assert stream.push(ids[-1]) == "!"


@pytest.mark.parametrize("name", ["llama2", "phi3", "some_bytes", "qwen2", "number_runs"])
def test_a_damaged_blob_is_refused_or_works(name: str) -> None:
    whole, generator = blob(name), random.Random(name)
    refused = 0
    # The first bytes are header, table of sections, and settings.
    for reach in (512, len(whole)):
        for _ in range(400):
            damaged = bytearray(whole)
            for _ in range(generator.randint(1, 4)):
                byte = generator.choice([0, 1, 255, generator.randrange(256)])
                damaged[generator.randrange(reach)] = byte
            try:
                opened = _native.Tokenizer(bytes(damaged))
            except ValueError:
                refused += 1
                continue
            ids = opened.encode(families.LANGUAGES[5] + families.LANGUAGES[8])
            opened.decode(ids, skip_special=False)
            with suppress(ValueError):
                opened.apply_chat([("system", " "), ("user", "x")])
    assert 200 < refused < 800


@pytest.mark.parametrize("name", ["llama2", "smollm2"])
def test_a_cut_blob_is_refused(name: str) -> None:
    whole = blob(name)
    for size in (0, 7, 8, 31, 32, 100, len(whole) // 2, len(whole) - 16, len(whole) - 1):
        with pytest.raises(ValueError, match=r"tokenizer\.bin is damaged: .*compile the tokenizer"):
            _native.Tokenizer(whole[:size])
    with pytest.raises(ValueError, match="says"):
        _native.Tokenizer(whole + bytes(16))


def test_another_version_is_refused() -> None:
    changed = bytearray(blob("llama2"))
    changed[8] = 2
    with pytest.raises(ValueError, match="has version 2, but this build reads version 1; update"):
        _native.Tokenizer(bytes(changed))
