"""One small valid artifact, and a way to give a changed one checksums that match again."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamella.artifact import Canary, Contents, save

Resign = Callable[[bytearray], bytes]


@pytest.fixture(scope="session")
def manifest() -> dict[str, Any]:
    return {
        "lamella": "0.1.0",
        "target": "onnx",
        "model": {"name": "toy"},
        "inputs": [{"name": "x", "dtype": "bool", "shape": [3]}],
        "outputs": [{"name": "y", "dtype": "float32", "shape": ["n"]}],
        "layers": [{"id": "fc", "format": "w4g32", "nbytes": 7}],
        "canary": {"max_abs_error": 0.5},
    }


@pytest.fixture(scope="session")
def valid(manifest: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    canary = Canary({"x": np.array([True, False, True])}, {"y": np.ones(2, np.float32)})
    path = tmp_path_factory.mktemp("valid") / "toy.lamella"
    save(path, Contents(manifest, {"model.onnx": b"weights"}, {"plan.yaml": b"a: 1\n"}, canary))
    return path.read_bytes()


@pytest.fixture(scope="session")
def resign() -> Resign:
    return _resign


def _resign(raw: bytearray) -> bytes:
    """Recomputes every checksum as far as the fields allow; what a forger would do."""
    count = min(struct.unpack_from("<I", raw, 12)[0], (len(raw) - 64) // 128)
    for row in range(64, 64 + 128 * count, 128):
        offset, size = struct.unpack_from("<QQ", raw, row + 8)
        content = raw[min(offset, len(raw)) : min(offset + size, len(raw))]
        raw[row + 24 : row + 56] = hashlib.sha256(content).digest()
    raw[32:64] = hashlib.sha256(raw[:32] + raw[64 : 64 + 128 * count]).digest()
    return bytes(raw)
