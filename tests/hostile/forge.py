"""Files made by hand: laid out by the rules, whatever they hold, with checksums that match."""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

from lamella.artifact import layout
from lamella.artifact.layout import Kind, Section

MANIFEST: dict[str, Any] = {
    "lamella": "0.1.0",
    "target": "onnx",
    "model": {"name": "toy"},
    "inputs": [{"name": "x", "dtype": "bool", "shape": [3]}],
    "outputs": [{"name": "y", "dtype": "float32", "shape": ["n"]}],
    "layers": [{"id": "fc", "format": "w4g32", "nbytes": 7}],
    "canary": {"max_abs_error": 0.5},
}
Parts = dict[tuple[Kind, str], bytes]

INPUT = {"name": "x", "dtype": "bool", "shape": [3], "offset": 0, "size": 3}
OUTPUT = {"name": "y", "dtype": "float32", "shape": [2], "offset": 64, "size": 8}
CANARY = {"inputs": [INPUT], "outputs": [OUTPUT]}


def resign(raw: bytearray) -> bytes:
    """Recomputes every checksum as far as the fields allow; what a forger would do."""
    count = min(struct.unpack_from("<I", raw, 12)[0], (len(raw) - 64) // 128)
    for row in range(64, 64 + 128 * count, 128):
        offset, size = struct.unpack_from("<QQ", raw, row + 8)
        content = raw[min(offset, len(raw)) : min(offset + size, len(raw))]
        raw[row + 24 : row + 56] = hashlib.sha256(content).digest()
    raw[32:64] = hashlib.sha256(raw[:32] + raw[64 : 64 + 128 * count]).digest()
    return bytes(raw)


def build(parts: Parts) -> bytes:
    """Returns a file of these sections, in this order."""
    sections: list[Section] = []
    offset = layout.head_bytes(len(parts))
    body = b""
    for (kind, name), content in parts.items():
        sections.append(Section(kind, name, offset, len(content), bytes(32)))
        body += content.ljust(layout.aligned(len(content)), b"\0")
        offset += layout.aligned(len(content))
    return resign(bytearray(layout.pack_head(sections) + body))


def parts(manifest: Any, index: Any, tensors: bytes) -> Parts:
    """Returns the sections of a file; manifest and index are JSON-ready, or bytes as they are."""
    text = [
        part if isinstance(part, bytes) else json.dumps(part).encode() for part in (manifest, index)
    ]
    return {
        (Kind.MANIFEST, "manifest.json"): text[0],
        (Kind.PROGRAM, "model.onnx"): b"weights",
        (Kind.CANARY, "index.json"): text[1],
        (Kind.CANARY, "tensors.bin"): tensors,
    }


def seeds() -> dict[str, bytes]:
    """Returns small valid files that differ in what they hold, by name."""
    plain = parts(MANIFEST, CANARY, bytes(128))
    more = {
        (Kind.MANIFEST, "manifest.json"): plain[Kind.MANIFEST, "manifest.json"],
        (Kind.PROGRAM, "model.onnx"): b"weights",
        (Kind.PROGRAM, "other.bin"): b"",
        (Kind.ATTACHMENT, "plan.yaml"): b"a: 1\n",
        (Kind.CANARY, "index.json"): plain[Kind.CANARY, "index.json"],
        (Kind.CANARY, "tensors.bin"): bytes(128),
        (Kind.SIGNATURE, "ed25519"): bytes(range(96)),
    }
    port = {"name": "\u00e9\U0001f600", "dtype": "int64", "shape": ["n", None, 0, 1 << 40]}
    rich = {
        **MANIFEST,
        "inputs": [],
        "outputs": [port],
        "canary": {"max_abs_error": 1e-3, "min_cosine": -0.5},
        "generation": {"eos_token_ids": [2, 0], "bos_token_id": None, "context_length": 9},
        "free": [None, True, False, -1, 2.5e-7, '\u0000\n"\\/', {"": {}}, [[]]],
    }
    row = {**port, "shape": [0, 7, 0, 1], "offset": 0, "size": 0}
    return {
        "plain": build(plain),
        "signed": build(more),
        "rich": build(parts(rich, {"inputs": [], "outputs": [row]}, b"")),
    }
