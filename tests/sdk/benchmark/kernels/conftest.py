"""A benchmark that takes no time: small memory, small reads, few turns."""

from __future__ import annotations

import pytest

from lamella.benchmark.kernels import operations, timing
from lamella.benchmark.kernels.case import Memory, Setup


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "READ", 1 << 12)
    monkeypatch.setattr(timing, "TURN_US", 1)
    monkeypatch.setattr(operations, "READ", 1 << 12)
    monkeypatch.setattr(operations, "last_cache_bytes", lambda: 1 << 19)


@pytest.fixture
def setup() -> Setup:
    return Setup(Memory(1 << 20), threads=2, peers=("onnxruntime", "torch"))
