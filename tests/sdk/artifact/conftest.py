"""One small artifact for the tests of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamella.artifact import Canary, Contents, save


@pytest.fixture
def manifest() -> dict[str, Any]:
    return {
        "lamella": "0.1.0",
        "target": "onnx",
        "model": {"name": "toy", "licence": "MIT"},
        "inputs": [
            {"name": "x", "dtype": "float32", "shape": ["n", 3]},
            {"name": "flag", "dtype": "bool", "shape": []},
        ],
        "outputs": [{"name": "y", "dtype": "float16", "shape": ["n", 0]}],
        "layers": [
            {"id": "head", "format": "w4g32", "nbytes": 300},
            {"id": "stem", "format": "f16", "nbytes": 100},
        ],
        "canary": {"max_abs_error": 0.001},
    }


@pytest.fixture
def contents(manifest: dict[str, Any]) -> Contents:
    return Contents(
        manifest,
        {"model.onnx": b"program bytes", "empty.bin": b""},
        {"tokenizer.json": bytes(range(64)), "plan.yaml": "grüße: 1\n".encode()},
        Canary(
            {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "flag": np.array(True)},
            {"y": np.zeros((2, 0), np.float16)},
        ),
    )


@pytest.fixture
def path(contents: Contents, tmp_path: Path) -> Path:
    target = tmp_path / "toy.lamella"
    save(target, contents)
    return target
