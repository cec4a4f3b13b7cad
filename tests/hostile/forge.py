"""Files made by hand: laid out by the rules, whatever they hold, with checksums that match."""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

from lamella.artifact import layout
from lamella.artifact.layout import Kind, Section

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
