"""The samples as modules."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "samples"


@cache
def read(path: str) -> ModuleType:
    located = importlib.util.spec_from_file_location(f"sample_{Path(path).stem}", FOLDER / path)
    assert located is not None
    assert located.loader is not None
    module = importlib.util.module_from_spec(located)
    located.loader.exec_module(module)
    return module


@pytest.fixture
def efficientnet() -> Any:
    return read("vision/efficientnet_lite0.py")


@pytest.fixture
def digits() -> Any:
    return read("vision/digits.py")


@pytest.fixture
def minilm() -> Any:
    return read("text/minilm.py")


@pytest.fixture
def smollm2() -> Any:
    return read("llm/smollm2.py")
