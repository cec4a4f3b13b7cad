"""One small valid artifact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lamella.artifact import Canary, Contents, save


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
