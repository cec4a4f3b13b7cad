"""Mirrors sdk/lamella/benchmark/kernels/timing.py."""

from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console

from lamella import _native
from lamella.benchmark.kernels import timing
from lamella.benchmark.kernels.case import Call, Case, Setup

CASE = Case("op", "1x2", "w4g32", nbytes=2_000_000, operations=3_000_000, kernels={})
COLUMNS = (
    "op shape format isa threads median_us spread gbps bandwidth_fraction gops arithmetic_fraction "
    "machine ratio_onnxruntime ratio_onnxruntime_fp32 ratio_torch ratio_llamacpp ratio_llamacpp_k "
    "ratio_dense"
)


@pytest.mark.parametrize("pool", [None, _native.ThreadPool(3)])
def test_a_plain_read_touches_every_byte(pool: _native.ThreadPool | None) -> None:
    data = np.random.default_rng(1).integers(0, 256, 64 * 37, dtype=np.uint8)
    assert _native.read_bytes(data, pool) == np.bitwise_xor.reduce(data.view(np.uint64))
    assert _native.read_bytes(data[:0], pool) == 0
    with pytest.raises(ValueError, match="whole lines of 64 bytes, not 63"):
        _native.read_bytes(data[:63], pool)


def test_everyone_takes_turns_and_another_one_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "TURN_US", 0)
    seen: list[int] = []
    calls = [Call(lambda k=k: seen.append(k)) for k in range(3)]
    assert timing.take_turns(calls, 2).shape == (2, 3)
    assert np.reshape(seen, (4, 3)).tolist() == [[2, 0, 1], [1, 2, 0], [0, 1, 2], [2, 0, 1]]


def test_short_calls_fill_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10**9, 1000))
    monkeypatch.setattr(timing, "TURN_US", 10)
    monkeypatch.setattr("time.perf_counter_ns", lambda: next(clock))
    seen: list[None] = []
    # A turn takes 1 microsecond for 2 calls, by this clock whatever it does.
    times = timing.take_turns([Call(lambda: seen.append(None), count=2)], 1)
    assert len(seen) == 1 + 10 + 100
    assert times.tolist() == [[0.005]]


def test_a_row_sums_up_its_turns() -> None:
    own, read = np.array([100.0, 200.0, 400.0]), np.array([2.0, 4.0, 8.0]) * timing.READ / 20_000
    others = {"torch": np.array([300.0, 200.0, 800.0])}
    operation = np.array([1e-5, 2e-5, 8e-5])
    row = timing.sum_up(CASE, "avx2", 2, own, (read, operation), others)
    assert (row.median_us, row.spread, row.gbps, row.gops) == (200, 0.75, 10, 15)
    assert row.arithmetic_fraction == pytest.approx(0.3)  # of turns with 0.3, 0.3 and 0.6
    assert row.bandwidth_fraction == 2  # 20 of 10, 10 of 5, 5 of 2.5 gigabytes a second
    assert row.ratios == {"torch": 2}
    flat = row.flat()
    assert " ".join(flat) == COLUMNS
    assert flat["machine"] == "native"
    assert flat["ratio_torch"] == 2
    assert flat["ratio_dense"] is None


def test_a_case_gives_a_row_for_each_kernel_and_reads_only_what_comes_from_memory(
    setup: Setup,
) -> None:
    calls = {"avx2": Call(lambda: None), "portable": Call(lambda: None)}
    peers = {"torch": Call(lambda: None)}
    case = Case("op", "1x2", "f32", nbytes=64, operations=0, kernels=calls, peers=peers)
    rows = timing.time_case(case, setup, rounds=3)
    assert [(row.isa, row.threads) for row in rows] == [("avx2", 2), ("portable", 2)]
    for row in rows:
        assert row.gops is None
        assert row.bandwidth_fraction is not None
        assert row.ratios.keys() == {"torch"}
        assert row.arithmetic_fraction is None
    still = Case("op", "1x2", "f32", nbytes=0, operations=1, kernels=calls, arithmetic=32)
    for row in timing.time_case(still, setup, rounds=3):
        assert row.bandwidth_fraction is None
        assert row.arithmetic_fraction is not None


def test_the_table_has_columns_for_those_who_took_part() -> None:
    row = timing.sum_up(CASE, "avx2", 1, np.ones(3), (None, None), {"torch": np.full(3, 2.5)})
    console = Console(width=160, record=True)
    console.print(timing.speed_table([row]))
    text = console.export_text()
    assert "2.50x" in text
    assert "torch" in text
    assert "dense" not in text
