"""Mirrors native/engine/file: against hashlib, Python's JSON, and the reader of the SDK.

`tests/hostile` gives both readers the same hostile files.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamella import _native
from lamella.artifact import Canary, Contents, canary, documents, read, save
from lamella.errors import ArtifactError

FUZZ = settings(max_examples=300, deadline=None, derandomize=True)


# SHA-256


@pytest.mark.parametrize("kernel", _native.sha256_kernels(), ids=lambda kernel: kernel.name)
def test_digests_are_those_of_hashlib(kernel: _native.Sha256Kernel) -> None:
    if not kernel.runs_here:
        pytest.skip("the host lacks these instructions")
    content = np.random.default_rng(1).bytes(5000)
    for size in (*range(260), 4095, 4096, 5000):
        expected = hashlib.sha256(content[:size]).digest()
        assert kernel.digest([content[:size]]) == expected
        for cut in (1, 63, 64, 65, 130):
            pieces = [content[:size][at : at + cut] for at in range(0, size, cut)]
            assert kernel.digest(pieces) == expected, (size, cut)


# JSON


def parsed(read: Any, text: bytes) -> tuple[bool, Any]:
    """Returns whether a reader takes a text, and what it reads."""
    try:
        return True, read(text)
    except (ArtifactError, ValueError):
        return False, None


def check_json(text: bytes) -> None:
    taken, value = parsed(lambda text: documents.parse(text, "x"), text)
    native_taken, native = parsed(_native.parse_json, text)
    assert native_taken == taken, text[:200]
    # Distinguishes 1 from 1.0 and True, and -0.0 from 0.0, which == does not.
    assert repr(native) == repr(value)


TEXTS = (
    # One text a line, good and bad.
    *(Path(__file__).parent / "json_texts.txt").read_text().splitlines(),
    "",
    " ",
    " \t\r\n[ \t\r\n1 \t\r\n, 2 ] \t\r\n",
    ' { "a" : [ ] , "b" : { } } ',
    "\v1",
    "\xa01",
    "\ufeff{}",
    '"\x00"',
    '"\x1f"',
    '"\x7f\x80\u00e9\u20ac\U0001f600\U0010ffff"',
    '"tab\tinside"',
    "[" * 32 + "]" * 32,
    "[" * 33 + "]" * 33,
    "[" * 31 + '"[[["' + "]" * 31,
    '{"a":' * 32 + "1" + "}" * 32,
    '{"a":' * 33 + "1" + "}" * 33,
    "1" * 5000,
    "0." + "0" * 400 + "1e401",
    "1" + "0" * 400 + "e-400",
    "1" + "0" * 400 + ".0",
    "0." + "3" * 3000,
)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_json_is_read_as_python_reads_it(text: str) -> None:
    check_json(text.encode())


UTF8 = rb"""
\x80 \xff \xc0\x80 \xc1\xbf \xc2 \xc2\x80 \xe0\x9f\xbf \xe0\xa0\x80 \xed\x9f\xbf \xed\xa0\x80
\xee\x80\x80 \xe2\x82 \xe2\x28\xa1 \xf0\x8f\xbf\xbf \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf
\xf4\x90\x80\x80 \xf5\x80\x80\x80 \xf8\x88\x80\x80\x80 \xf0\x9f\x98 \xc3\xa9
"""


@pytest.mark.parametrize("text", [word.decode("unicode_escape") for word in UTF8.split()])
@pytest.mark.parametrize("frame", ['"%s"', '"%s', "{}%s"])
def test_utf8_is_checked_as_python_does(text: str, frame: str) -> None:
    check_json((frame % text).encode("latin-1"))


def test_json_of_the_largest_size_is_read_and_no_more() -> None:
    most = documents.MAX_BYTES
    check_json(b" " * (most - 2) + b"{}")
    check_json(b" " * (most - 1) + b"{}")
    check_json(b"[ " + b"0," * (most // 2 - 2) + b"0]")


LETTERS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.integers(-(1 << 64), 1 << 64) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | LETTERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(LETTERS, inner, max_size=4),
    max_leaves=20,
)


@FUZZ
@given(value=VALUES, ascii_only=st.booleans(), indent=st.none() | st.integers(0, 2))
def test_any_value_is_read(value: Any, ascii_only: bool, indent: int | None) -> None:
    check_json(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode())


@FUZZ
@given(value=VALUES, place=st.integers(0, 1 << 16), put=st.sampled_from('[]{},:"\\u0eE+-.1 tn'))
def test_any_slip_is_seen(value: Any, place: int, put: str) -> None:
    text = json.dumps(value)
    place %= len(text)
    check_json((text[:place] + put + text[place + 1 :]).encode())
    check_json((text[:place] + put + text[place:]).encode())


@FUZZ
@given(st.text(alphabet='[]{},:"\\udD8c01eE+-. \tnulltrue', max_size=30))
def test_any_text_is_judged_alike(text: str) -> None:
    check_json(text.encode())


@FUZZ
@given(st.from_regex(r"-?[0-9]{1,25}(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?", fullmatch=True))
def test_numbers_have_the_same_bits(text: str) -> None:
    check_json(text.encode())


# Artifacts


def contents(**changed: Any) -> Contents:
    """Returns contents with every kind of axis, a repeating tensor, and names beyond ASCII."""
    manifest = {
        "lamella": "0.1.0",
        "target": "native",
        "model": {"name": "größe", "licence": "MIT"},
        "inputs": [
            {"name": "x", "dtype": "float32", "shape": ["n", 3, None], "more": [1.5, "free"]},
            {"name": "flag", "dtype": "bool", "shape": []},
            {"name": "big", "dtype": "int16", "shape": [300, 300]},
        ],
        "outputs": [{"name": "é", "dtype": "float16", "shape": ["n", 0]}],
        "layers": [{"id": "head", "format": "w4g32", "nbytes": 300}],
        "canary": {"max_abs_error": 0.001, "min_cosine": 0.999},
        "generation": {"eos_token_ids": [2, 0], "bos_token_id": None, "context_length": 8192},
        **changed,
    }
    return Contents(
        manifest,
        {"model.bin": b"program bytes", "empty.bin": b""},
        {"tokenizer.json": bytes(range(64)), "plan.yaml": "grüße: 1\n".encode()},
        Canary(
            {
                "x": np.arange(6, dtype=np.float32).reshape(2, 3, 1),
                "flag": np.array(True),
                # Repeats every 65,536 bytes, and ends inside a repetition.
                "big": np.resize(np.arange(8, dtype=np.int16), (300, 300)),
            },
            {"é": np.zeros((2, 0), np.float16)},
        ),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save(tmp_path / "toy.lamella", contents())
    return tmp_path / "toy.lamella"


def test_sections_are_where_the_file_has_them(path: Path) -> None:
    raw = path.read_bytes()
    file = _native.ArtifactFile(raw)
    found = {label: content for label, _, content, _ in file.sections()}
    assert list(found)[:2] == ["manifest/manifest.json", "program/empty.bin"]
    assert found["program/empty.bin"] == b""
    assert found["program/model.bin"] == b"program bytes"
    assert found["attachment/tokenizer.json"] == bytes(range(64))
    assert found["attachment/plan.yaml"] == "grüße: 1\n".encode()
    for _, offset, content, digest in file.sections():
        assert offset % 64 == 0
        assert raw[offset : offset + len(content)] == content
        assert hashlib.sha256(content).digest() == digest
    assert file.root() == raw[32:64]
    assert file.signer() is None


def test_the_manifest_is_that_of_the_file(path: Path) -> None:
    found = _native.ArtifactFile(path.read_bytes()).manifest()
    assert found == {
        "lamella": "0.1.0",
        "target": "native",
        "model": "größe",
        "inputs": [
            ("x", "float32", ("n", 3, None)),
            ("flag", "bool", ()),
            ("big", "int16", (300, 300)),
        ],
        "outputs": [("é", "float16", ("n", 0))],
        "max_abs_error": 0.001,
        "min_cosine": 0.999,
        "eos_token_ids": [2, 0],
        "bos_token_id": None,
        "context_length": 8192,
    }


def test_what_a_manifest_need_not_hold_is_absent(tmp_path: Path) -> None:
    path = tmp_path / "x.lamella"
    whole = contents(canary={"max_abs_error": 0, "min_cosine": None})
    manifest = {key: value for key, value in whole.manifest.items() if key != "generation"}
    save(path, Contents(manifest, whole.program, {}, whole.canary))
    found = _native.ArtifactFile(path.read_bytes()).manifest()
    assert (found["max_abs_error"], found["min_cosine"]) == (0, None)
    assert found["eos_token_ids"] == []
    assert found["context_length"] is None


def test_the_canary_is_that_of_the_sdk(path: Path) -> None:
    file, expected = _native.ArtifactFile(path.read_bytes()), read(path).canary
    assert path.stat().st_size < 180_000  # the repeating tensor is stored once
    for found, arrays in (
        (file.canary_inputs(), expected.inputs),
        (file.canary_outputs(), expected.outputs),
    ):
        assert list(found) == sorted(arrays)
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            assert found[name].shape == array.shape
            assert found[name].tobytes() == array.tobytes()


@pytest.mark.parametrize("dtype", canary.DTYPES)
def test_every_dtype_is_read(tmp_path: Path, dtype: str) -> None:
    values = np.array([[0, 1], [1, 0]], dtype)
    port = {"name": "x", "dtype": dtype, "shape": [2, 2]}
    path = tmp_path / "x.lamella"
    whole = contents(inputs=[port], outputs=[port])
    save(path, Contents(whole.manifest, whole.program, {}, Canary({"x": values}, {"x": values})))
    found = _native.ArtifactFile(path.read_bytes()).canary_outputs()["x"]
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("name", ["program/model.bin", "attachment/plan.yaml"])
def test_damage_in_a_program_is_left_to_verify(path: Path, name: str) -> None:
    raw = bytearray(path.read_bytes())
    (offset,) = (row[1] for row in _native.ArtifactFile(bytes(raw)).sections() if row[0] == name)
    raw[offset] ^= 1
    with pytest.raises(ValueError, match=f"the checksum of section {name} does not match"):
        _native.ArtifactFile(bytes(raw))
    file = _native.ArtifactFile(bytes(raw), structure=True)
    with pytest.raises(ValueError, match=f"the checksum of section {name} does not match"):
        file.verify()


def test_an_untouched_file_verifies(path: Path) -> None:
    _native.ArtifactFile(path.read_bytes(), structure=True).verify()


def test_numbers_of_the_manifest_keep_their_bits(tmp_path: Path) -> None:
    path = tmp_path / "x.lamella"
    save(path, contents(canary={"max_abs_error": math.pi * 1e-7, "min_cosine": -1}))
    found = _native.ArtifactFile(path.read_bytes()).manifest()
    assert (found["max_abs_error"], found["min_cosine"]) == (math.pi * 1e-7, -1.0)


def test_words_from_the_file_cannot_control_a_terminal(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the key '\\?\\[2J\\?\\?' comes twice"):
        _native.parse_json(b'{"\\u001b[2J\\u009b":1,"\\u001b[2J\\u009b":2}')
