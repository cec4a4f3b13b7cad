"""Sessions over runners written in Python, so that a test says what the program computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamella.artifact import Canary, Contents, save
from lamella.runtime.session import Runner, Session

OpenSession = Callable[..., Session]


@pytest.fixture
def double(tmp_path: Path) -> tuple[Path, Contents]:
    """The artifact of a program that doubles its input."""
    x = np.array([[1, -2, 3], [0.5, 0, -1]], np.float32)
    manifest = {
        "lamella": "0.1.0",
        "target": "onnx",
        "model": {"name": "double"},
        "inputs": [{"name": "x", "dtype": "float32", "shape": ["n", 3]}],
        "outputs": [{"name": "y", "dtype": "float32", "shape": ["n", 3]}],
        "layers": [{"id": "fc", "format": "w8", "nbytes": 9}],
        "canary": {"max_abs_error": 0.25, "min_cosine": 0.99},
    }
    contents = Contents(manifest, {"model.onnx": b"2"}, {}, Canary({"x": x}, {"y": 2 * x}))
    path = tmp_path / "double.lamella"
    save(path, contents)
    return path, contents


@pytest.fixture
def open_session(tmp_path: Path) -> OpenSession:
    """Opens a runner whose ports are given as {name: (dtype, shape)}."""

    def make(
        runner: Runner,
        inputs: Mapping[str, tuple[str, tuple[Any, ...]]],
        outputs: Mapping[str, tuple[str, tuple[Any, ...]]],
        *,
        generation: Mapping[str, Any] | None = None,
        attachments: Mapping[str, bytes] | None = None,
    ) -> Session:
        def ports(side: Mapping[str, tuple[str, tuple[Any, ...]]]) -> list[dict[str, Any]]:
            return [
                {"name": name, "dtype": dtype, "shape": list(shape)}
                for name, (dtype, shape) in side.items()
            ]

        manifest = {
            "inputs": ports(inputs),
            "outputs": ports(outputs),
            "layers": [],
            "generation": dict(generation or {}),
        }
        path = tmp_path / "toy.lamella"
        path.touch()
        contents = Contents(manifest, {}, dict(attachments or {}), Canary({}, {}))
        return Session(path, contents, runner)

    return make
