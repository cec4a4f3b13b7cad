"""Reads a file by FORMAT.md alone, with nothing of lamella's reader."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest

from lamella import artifact
from lamella.artifact import Canary, Contents, save

GOLDEN = "2883fe571b1e7c05c3437414c8bb0149a0455f16278a576f36d42637e27985e8"


def align(number: int) -> int:
    return (number + 63) // 64 * 64


def read_by_the_page(raw: bytes) -> dict[tuple[int, str], bytes]:
    magic, version, count, size, reserved = struct.unpack_from("<8sIIQQ", raw)
    assert magic == bytes.fromhex("894C414D0D0A1A0A")
    assert (version, size, reserved) == (1, len(raw), 0)
    table = raw[64 : 64 + 128 * count]
    assert raw[32:64] == hashlib.sha256(raw[:32] + table).digest()
    sections: dict[tuple[int, str], bytes] = {}
    end = 64 + 128 * count
    for row in range(count):
        kind, length, offset, nbytes = struct.unpack_from("<IIQQ", table, 128 * row)
        digest, name = struct.unpack_from("<32s72s", table, 128 * row + 24)
        assert offset == end
        assert name[length:] == bytes(72 - length)
        content = raw[offset : offset + nbytes]
        assert digest == hashlib.sha256(content).digest()
        end = align(offset + nbytes)
        assert raw[offset + nbytes : end] == bytes(end - offset - nbytes)
        sections[kind, name[:length].decode("ascii")] = content
    assert end == len(raw)
    assert list(sections) == sorted(sections)
    return sections


def test_the_page_describes_the_file(path: Path, contents: Contents) -> None:
    sections = read_by_the_page(path.read_bytes())
    assert json.loads(sections[1, "manifest.json"]) == contents.manifest
    assert sections[2, "model.onnx"] == b"program bytes"
    assert sections[2, "empty.bin"] == b""
    assert sections[3, "tokenizer.json"] == bytes(range(64))
    assert sections[3, "plan.yaml"].decode() == "grüße: 1\n"


def test_the_page_describes_the_canary(path: Path) -> None:
    sections = read_by_the_page(path.read_bytes())
    index, block = json.loads(sections[4, "index.json"]), sections[4, "tensors.bin"]
    flag, x = index["inputs"]
    (y,) = index["outputs"]
    assert flag == {"name": "flag", "dtype": "bool", "shape": [], "offset": 0, "size": 1}
    assert x == {"name": "x", "dtype": "float32", "shape": [2, 3], "offset": 64, "size": 24}
    assert y == {"name": "y", "dtype": "float16", "shape": [2, 0], "offset": 128, "size": 0}
    assert block[0] == 1
    assert struct.unpack_from("<6f", block, 64) == (0, 1, 2, 3, 4, 5)
    assert len(block) == 128
    assert not any(block[1:64])
    assert not any(block[64 + 24 :])


def test_the_manifest_is_canonical(path: Path, contents: Contents) -> None:
    text = read_by_the_page(path.read_bytes())[1, "manifest.json"].decode("utf-8")
    expected = json.dumps(
        contents.manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert text == expected


def test_version_1_never_changes_its_bytes(path: Path) -> None:
    # A difference here means that files in the field need a new format version.
    assert hashlib.sha256(path.read_bytes()).hexdigest() == GOLDEN


@pytest.mark.parametrize(
    "dtype",
    ["bool", "i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"],
)
def test_every_dtype_survives(tmp_path: Path, contents: Contents, dtype: str) -> None:
    values = np.array([[0, 1], [1, 0]], dtype)
    # The other byte order and the other memory order must not reach the file.
    swapped = np.asfortranarray(values.astype(values.dtype.newbyteorder(">")))
    port = {"name": "x", "dtype": values.dtype.name, "shape": [2, 2]}
    manifest = {**contents.manifest, "inputs": [port], "outputs": [port]}
    canary = Canary({"x": swapped}, {"x": values})
    path = tmp_path / "x.lamella"
    save(path, Contents(manifest, {"p": b"1"}, {}, canary))
    found = artifact.read(path).canary
    assert found.inputs["x"].dtype == np.dtype(dtype)
    assert found.inputs["x"].tobytes() == values.tobytes()
    np.testing.assert_array_equal(found.outputs["x"], values)
