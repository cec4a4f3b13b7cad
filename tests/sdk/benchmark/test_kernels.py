"""Mirrors sdk/lamella/benchmark/kernels.py."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from typer.testing import CliRunner

from lamella import _native
from lamella.benchmark import kernels
from lamella.cli.entry import app
from lamella.errors import DeviceError


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "READ", 1 << 12)
    monkeypatch.setattr(kernels, "SHAPES", ((1, 64, 128), (3, 64, 128)))
    monkeypatch.setattr(kernels, "last_cache_bytes", lambda: 1 << 16)


@pytest.mark.parametrize("pool", [None, _native.ThreadPool(3)])
def test_a_plain_read_touches_every_byte(pool: _native.ThreadPool | None) -> None:
    data = np.random.default_rng(1).integers(0, 256, 64 * 37, dtype=np.uint8)
    assert _native.read_bytes(data, pool) == np.bitwise_xor.reduce(data.view(np.uint64))
    assert _native.read_bytes(data[:0], pool) == 0
    with pytest.raises(ValueError, match="whole lines of 64 bytes, not 63"):
        _native.read_bytes(data[:63], pool)


@pytest.mark.parametrize("bits", [2, 8])
def test_copies_are_weights_that_share_no_byte(bits: int) -> None:
    copies = kernels.Copies(100_000, seed=1)
    weights = copies.weights(bits, 64, 128)
    assert len(weights) == 100_000 // (64 * 128 * bits // 8)
    for one, other in pairwise(weights):
        assert not np.shares_memory(one.codes, other.codes)
        assert not np.shares_memory(one.scale, other.scale)
    assert np.isfinite(copies.scale.astype(np.float32)).all()


def test_every_kernel_of_this_processor_has_a_row(small: None) -> None:
    rows = kernels.time_kernels((4,), threads=(1, 2), rounds=3)
    here = [kernel.name for kernel in _native.linear_a8_kernels() if kernel.runs_here]
    fast = [name for name in here if name.startswith("linear_w4a8") and "portable" not in name]
    expected = [(name, tokens, count) for tokens in (1, 3) for count in (1, 2) for name in fast]
    assert [(row.kernel, row.tokens, row.threads) for row in rows] == expected
    for row in rows:
        assert row.weight_bytes == 64 * 128 * (4 + 0.5) / 8
        assert 0 < row.low_ms <= row.median_ms <= row.high_ms
        assert min(row.share, row.faster, row.read_gigabytes) > 0


def test_a_row_sums_up_its_turns() -> None:
    # Milliseconds of the kernel and of the portable one, gigabytes per second of a plain read.
    times = np.array([[1.0, 6, 2], [2.0, 8, 1], [4.0, 8, 1]])
    row = kernels._speed("kernel", (1, 64, 128), 2, 2_000_000, times)
    assert (row.low_ms, row.median_ms, row.high_ms) == (1.5, 2, 3)
    assert row.gigaproducts == 64 * 128 / 2e6
    assert (row.gigabytes, row.read_gigabytes, row.faster) == (1, 1, 4)
    assert row.share == 1  # 2 / 2, 1 / 1 and 0.5 / 1


def test_too_little_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "last_cache_bytes", lambda: 1 << 50)
    with pytest.raises(DeviceError, match="six times the last cache"):
        kernels.time_kernels((4,), threads=(1,), rounds=3)


def test_the_verb_prints_json_and_refuses_an_unknown_operation(small: None) -> None:
    result = CliRunner().invoke(
        app, ["kernels", "bench", "--op", "linear_w2a8", "--rounds", "3", "-o", "json"]
    )
    assert result.exit_code == 0
    assert {row["kernel"].split("_")[1] for row in json.loads(result.stdout)} <= {"w2a8"}
    wrong = CliRunner().invoke(app, ["kernels", "bench", "--op", "softmax"])
    assert wrong.exit_code == 2
