"""Files made to hurt: every checksum matches, and one field lies. Each gives its own sentence."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from hostile.forge import CANARY, INPUT, OUTPUT, build, parts, resign
from hostile.readers import agree, refuse

from lamella.artifact import read
from lamella.artifact.layout import Kind

# Rows of the table of the valid file, and the places of the fields in a row.
MANIFEST, PROGRAM, PLAN, INDEX, TENSORS = range(5)
KIND, LENGTH, OFFSET, SIZE, NAME = 0, 4, 8, 16, 56
HUGE = (1 << 64) - 1


def field(row: int, place: int) -> int:
    return 64 + 128 * row + place


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (0, b"\x89PNG", "not a .lamella file"),
        (8, struct.pack("<I", 2), "format version 2; this lamella reads version 1"),
        (8, struct.pack("<I", 0), "format version 0"),
        (12, struct.pack("<I", 0), "0 sections"),
        (12, struct.pack("<I", 1025), "1025 sections; a file has 1 to 1024"),
        (12, struct.pack("<I", 0xFFFFFFFF), "4294967295 sections"),
        (12, struct.pack("<I", 1000), "the table of 1000 sections does not fit"),
        (12, struct.pack("<I", 4), "starts at byte 704, not at 576"),
        (16, struct.pack("<Q", HUGE), "promises 18446744073709551615 bytes"),
        (16, struct.pack("<Q", 0), "promises 0 bytes"),
        (24, struct.pack("<Q", 1), "reserved field of the header is 1"),
        (field(PROGRAM, KIND), struct.pack("<I", 0), "unknown kind 0"),
        (field(PROGRAM, KIND), struct.pack("<I", 9), "unknown kind 9"),
        (field(PROGRAM, KIND), struct.pack("<I", 3), "no program section"),
        (
            field(PROGRAM, KIND),
            struct.pack("<I", 1),
            "manifest sections must be manifest.json, not",
        ),
        (field(MANIFEST, KIND), struct.pack("<I", 2), "manifest sections must be .* not missing"),
        (field(PLAN, KIND), struct.pack("<I", 4), "out of order"),
        (field(TENSORS, KIND), struct.pack("<I", 3), "out of order"),
        (field(PROGRAM, LENGTH), struct.pack("<I", 0), "a section name of 0 bytes"),
        (field(PROGRAM, LENGTH), struct.pack("<I", 73), "a section name of 73 bytes"),
        (field(PROGRAM, LENGTH), struct.pack("<I", 0xFFFFFFFF), "a section name of 4294967295"),
        (field(PROGRAM, LENGTH), struct.pack("<I", 5), "after the section name b?'model' are not"),
        (field(PROGRAM, LENGTH), struct.pack("<I", 11), "not a plain file name"),
        (field(PROGRAM, NAME), b"../../a.so", "'../../a.so' is not a plain file name"),
        (field(PROGRAM, NAME), b"/etc/passw", "not a plain file name"),
        (field(PROGRAM, NAME), b"..\\a\\b.so", "not a plain file name"),
        (field(PROGRAM, NAME), b"model\0onnx", "not a plain file name"),
        (field(PROGRAM, NAME), b"model\nonnx", "not a plain file name"),
        (field(PROGRAM, NAME), b"\xff\xfeodel.ONN", "not a plain file name"),
        (field(PROGRAM, NAME + 71), b"x", "after the section name b?'model.onnx' are not zero"),
        (field(PROGRAM, OFFSET), struct.pack("<Q", 0), "starts at byte 0, not at"),
        (field(PROGRAM, OFFSET), struct.pack("<Q", 704), "starts at byte 704, not at"),
        (field(PROGRAM, OFFSET), struct.pack("<Q", 705), "starts at byte 705, not at"),
        (field(PROGRAM, OFFSET), struct.pack("<Q", 1 << 63), "starts at byte 9223372036854775808"),
        (field(PROGRAM, OFFSET), struct.pack("<Q", HUGE), "starts at byte 18446744073709551615"),
        (field(PROGRAM, SIZE), struct.pack("<Q", HUGE), "of which only .* fit the file"),
        (field(PROGRAM, SIZE), struct.pack("<Q", 1 << 63), "of which only .* fit the file"),
        (field(PROGRAM, SIZE), struct.pack("<Q", 6), "padding behind section program/model.onnx"),
        (field(PROGRAM, SIZE), struct.pack("<Q", 65), "section attachment/plan.yaml starts at"),
        (field(TENSORS, SIZE), struct.pack("<Q", 64), "the sections end at byte"),
        (field(TENSORS, SIZE), struct.pack("<Q", 129), "of which only 128 fit the file"),
        (field(TENSORS, SIZE), struct.pack("<Q", 127), "canary tensors end at byte 128 of 127"),
    ],
)
def test_a_lying_field_is_refused(
    valid: bytes, tmp_path: Path, place: int, value: bytes, words: str
) -> None:
    raw = bytearray(valid)
    raw[place : place + len(value)] = value
    refuse(tmp_path / "x.lamella", resign(raw), words)


def test_a_section_that_comes_twice_is_refused(valid: bytes, tmp_path: Path) -> None:
    raw = bytearray(valid)
    row = slice(field(PLAN, NAME), field(PLAN, NAME) + 72)
    raw[field(PLAN, KIND)] = Kind.PROGRAM
    raw[field(PLAN, LENGTH)] = len("model.onnx")
    raw[row] = b"model.onnx".ljust(72, b"\0")
    refuse(tmp_path / "x.lamella", resign(raw), "program/model.onnx comes twice")


def test_two_sections_over_the_same_bytes_are_refused(valid: bytes, tmp_path: Path) -> None:
    raw = bytearray(valid)
    place = slice(field(PROGRAM, OFFSET), field(PROGRAM, OFFSET) + 16)
    other = slice(field(PLAN, OFFSET), field(PLAN, OFFSET) + 16)
    raw[other] = raw[place]
    refuse(tmp_path / "x.lamella", resign(raw), "attachment/plan.yaml starts at byte")


def test_the_forge_makes_valid_files(manifest: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "x.lamella"
    path.write_bytes(build(parts(manifest, CANARY, bytes(128))))
    assert read(path).canary.outputs["y"].tolist() == [0, 0]
    assert agree(path, path.read_bytes())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "manifest: not valid JSON"),
        (b"[]", "the manifest is not a JSON object"),
        (b'{"a":NaN}', "NaN is not a JSON number"),
        (b'{"a":1e999}', "not valid JSON"),
        (b"\xff{}", "byte 0 is not UTF-8"),
        (b'{"a":' * 100_000, "nested deeper than 32"),
        (b"[" * 4_000_000, "nested deeper than 32"),
        (b'{"a":1,"a":1}', "the key 'a' comes twice"),
        (b" " * (1 << 22) + b"{}", "the limit is 4194304"),
    ],
)
def test_a_hostile_manifest_text_is_refused(tmp_path: Path, text: bytes, words: str) -> None:
    refuse(tmp_path / "x.lamella", build(parts(text, CANARY, bytes(128))), words)


PORT = {"name": "x", "dtype": "bool", "shape": [3]}
LAYER = {"id": "fc", "format": "w8", "nbytes": 1}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("lamella", 1, "'lamella' must be a text"),
        ("target", None, "'target' must be a text"),
        ("target", "x" * 257, "'target' must be a text"),
        ("model", "toy", "'model' must be an object with a name"),
        ("model", {}, "'model' must be an object with a name"),
        ("inputs", None, "'inputs' must be a list"),
        ("inputs", ["x"], "'inputs': a tensor without a name"),
        ("inputs", [{**PORT, "name": 3}], "'inputs': a tensor without a name"),
        ("inputs", [{**PORT, "dtype": "object"}], "'x' has the unknown dtype 'object'"),
        ("inputs", [{**PORT, "dtype": ["O"]}], "'x' has the unknown dtype"),
        ("inputs", [{**PORT, "shape": [-1]}], "an axis is a size, a name or null"),
        ("inputs", [{**PORT, "shape": [True]}], "an axis is a size, a name or null"),
        ("inputs", [{**PORT, "shape": [0.5]}], "an axis is a size, a name or null"),
        ("inputs", [{**PORT, "shape": [1] * 9}], "a shape of at most 8"),
        ("inputs", [{**PORT, "shape": "3"}], "a shape of at most 8"),
        ("inputs", [PORT, PORT], "'inputs' names a tensor twice"),
        ("inputs", [], "canary inputs are x, but the manifest says none"),
        ("inputs", [{**PORT, "shape": []}], "'x' is bool of rank 1, .* bool of rank 0"),
        ("outputs", [], "'outputs' is empty"),
        ("layers", {}, "'layers' must be a list"),
        ("layers", [1], "a layer of the manifest needs id and format"),
        ("layers", [{**LAYER, "nbytes": -1}], r"nbytes \(a count\)"),
        ("layers", [{**LAYER, "nbytes": True}], r"nbytes \(a count\)"),
        ("layers", [LAYER, LAYER], "lists layer 'fc' twice"),
        ("canary", [], "must hold the number max_abs_error"),
        ("canary", {"max_abs_error": "0"}, "must hold the number max_abs_error"),
        ("canary", {"max_abs_error": -1}, "max_abs_error is -1, below 0"),
        ("canary", {"max_abs_error": 1, "min_cosine": 2}, "min_cosine 2 is not in"),
        ("generation", [], "'generation' must be an object"),
        ("generation", {"eos_token_ids": 2}, "must be a list of token ids"),
        ("generation", {"eos_token_ids": [-2]}, "must be a list of token ids"),
        ("generation", {"context_length": "9"}, "generation.context_length must be a count"),
    ],
)
def test_a_hostile_manifest_value_is_refused(
    manifest: dict[str, Any],
    tmp_path: Path,
    key: str,
    value: Any,
    words: str,
) -> None:
    raw = build(parts({**manifest, key: value}, CANARY, bytes(128)))
    refuse(tmp_path / "x.lamella", raw, words)


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ([], "exactly inputs and outputs"),
        ({**CANARY, "more": []}, "exactly inputs and outputs"),
        ({**CANARY, "inputs": {}}, "not a list of tensors"),
        ({**CANARY, "inputs": [3]}, "a tensor needs exactly"),
        ({**CANARY, "inputs": [{**INPUT, "more": 1}]}, "a tensor needs exactly"),
        ({**CANARY, "inputs": [{**INPUT, "name": ""}]}, "a tensor name must be"),
        ({**CANARY, "inputs": [{**INPUT, "dtype": "object"}]}, "unknown dtype 'object'"),
        ({**CANARY, "inputs": [{**INPUT, "dtype": "O8"}]}, "unknown dtype 'O8'"),
        ({**CANARY, "inputs": [{**INPUT, "dtype": 7}]}, "unknown dtype 7"),
        ({**CANARY, "inputs": [{**INPUT, "shape": [-3]}]}, r"impossible shape \[-3\]"),
        ({**CANARY, "inputs": [{**INPUT, "shape": [3.0]}]}, "impossible shape"),
        ({**CANARY, "inputs": [{**INPUT, "shape": 3}]}, "impossible shape 3"),
        ({**CANARY, "inputs": [{**INPUT, "shape": [1] * 9}]}, "impossible shape"),
        ({**CANARY, "inputs": [{**INPUT, "shape": [1 << 62, 4]}]}, "is too large"),
        ({**CANARY, "inputs": [{**INPUT, "shape": [0, 1 << 62]}]}, "is too large"),
        ({**CANARY, "inputs": [{**INPUT, "shape": [4]}]}, "takes 4 bytes, not 3"),
        ({**CANARY, "inputs": [{**INPUT, "size": -3}]}, "takes 3 bytes, not -3"),
        ({**CANARY, "inputs": [{**INPUT, "size": "3"}]}, "takes 3 bytes, not '3'"),
        ({**CANARY, "inputs": [{**INPUT, "offset": 1}]}, "at byte 1 does not fit at byte 0"),
        ({**CANARY, "inputs": [{**INPUT, "offset": -64}]}, "takes 3 bytes"),
        ({**CANARY, "inputs": [INPUT, INPUT]}, "comes twice or out of order"),
        ({**CANARY, "outputs": [{**OUTPUT, "offset": 0}]}, "at byte 0 does not fit at byte 64"),
        (
            {**CANARY, "outputs": [{**OUTPUT, "shape": [64], "size": 256}]},
            "'y' of 256 bytes at byte 64 does not fit at byte 64 of 128",
        ),
        ({**CANARY, "outputs": []}, "the canary tensors end at byte 64 of 128"),
    ],
)
def test_a_hostile_canary_index_is_refused(
    manifest: dict[str, Any], tmp_path: Path, index: Any, words: str
) -> None:
    raw = build(parts(manifest, index, bytes(128)))
    refuse(tmp_path / "x.lamella", raw, words)


def signed(manifest: dict[str, Any], signature: dict[str, bytes]) -> bytes:
    rows = parts(manifest, CANARY, bytes(128))
    return build({**rows, **{(Kind.SIGNATURE, name): held for name, held in signature.items()}})


def test_a_signature_that_nobody_asks_for_proves_nothing(
    manifest: dict[str, Any], tmp_path: Path
) -> None:
    assert agree(tmp_path / "x.lamella", signed(manifest, {"ed25519": bytes(96)}))


@pytest.mark.parametrize(
    ("signature", "words"),
    [
        ({"ed25519": b""}, "section signature/ed25519 has 0 bytes, not 96"),
        ({"ed25519": bytes(95)}, "section signature/ed25519 has 95 bytes, not 96"),
        ({"ed25519": bytes(160)}, "section signature/ed25519 has 160 bytes, not 96"),
        ({"rsa": bytes(96)}, "the signature sections must be ed25519, not rsa"),
        ({"ed25519": bytes(96), "rsa": bytes(96)}, "must be ed25519, not ed25519, rsa"),
    ],
)
def test_a_hostile_signature_is_refused(
    manifest: dict[str, Any], tmp_path: Path, signature: dict[str, bytes], words: str
) -> None:
    refuse(tmp_path / "x.lamella", signed(manifest, signature), words)


@pytest.mark.parametrize(
    ("place", "words"), [(0, "a bool that is not 0 or 1"), (3, "padding of canary tensor 'x'")]
)
def test_hostile_canary_bytes_are_refused(
    manifest: dict[str, Any], tmp_path: Path, place: int, words: str
) -> None:
    tensors = bytearray(128)
    tensors[place] = 2
    raw = build(parts(manifest, CANARY, bytes(tensors)))
    refuse(tmp_path / "x.lamella", raw, words)
