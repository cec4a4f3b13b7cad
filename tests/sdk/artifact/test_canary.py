"""Mirrors sdk/lamella/artifact/canary.py."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lamella.artifact import canary
from lamella.artifact.contents import Array, Canary
from lamella.errors import ArtifactError

WHERE = "test.lamella"
OUTPUT = {"y": np.ones(1, np.float32)}


def packed(array: Array) -> tuple[bytes, bytes]:
    index, pieces = canary.pack(Canary({"x": array}, OUTPUT), WHERE)
    return index, b"".join(pieces)


def test_a_large_tensor_that_repeats_is_stored_as_one_period() -> None:
    stored = np.random.default_rng(0).normal(size=canary.PERIOD // 4).astype(np.float32)
    array = np.resize(stored, (1, 3, 224, 224))
    index, block = packed(array)
    assert len(block) == canary.PERIOD + 64
    found = canary.unpack(memoryview(index), memoryview(block), WHERE)
    np.testing.assert_array_equal(found.inputs["x"], array)


@pytest.mark.parametrize("changed", [0, canary.PERIOD // 4, -1])
def test_a_tensor_that_almost_repeats_is_stored_whole(changed: int) -> None:
    array = np.zeros(canary.PERIOD, np.float32)
    array[changed] = 1
    index, block = packed(array)
    assert len(block) == array.nbytes + 64
    found = canary.unpack(memoryview(index), memoryview(block), WHERE)
    np.testing.assert_array_equal(found.inputs["x"], array)


def test_a_short_block_cannot_claim_a_huge_tensor() -> None:
    index, block = packed(np.zeros((4, canary.PERIOD), np.float32))
    rows = json.loads(index)
    rows["inputs"][0]["shape"] = [1 << 20, 1 << 10]
    forged = json.dumps(rows, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(ArtifactError, match="takes 4294967296 bytes"):
        canary.unpack(memoryview(forged), memoryview(block), WHERE)
