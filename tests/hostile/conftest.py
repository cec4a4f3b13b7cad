"""One small valid artifact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hostile.forge import MANIFEST

from lamella.artifact import Canary, Contents, save


@pytest.fixture(scope="session")
def manifest() -> dict[str, Any]:
    return MANIFEST


@pytest.fixture(scope="session")
def valid(manifest: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    canary = Canary({"x": np.array([True, False, True])}, {"y": np.ones(2, np.float32)})
    path = tmp_path_factory.mktemp("valid") / "toy.lamella"
    save(path, Contents(manifest, {"model.onnx": b"weights"}, {"plan.yaml": b"a: 1\n"}, canary))
    return path.read_bytes()
