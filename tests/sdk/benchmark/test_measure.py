"""Mirrors sdk/lamella/benchmark/measure.py: order and arithmetic, not the speed of this machine."""

from __future__ import annotations

import mmap
import time

import numpy as np
import pytest

from lamella.benchmark import measure


def test_calls_alternate_and_every_pair_starts_with_the_other_one() -> None:
    calls: list[str] = []
    measure.interleave(lambda: calls.append("a"), lambda: calls.append("b"), rounds=4, warmup=2)
    assert "".join(calls[:4]) == "abab"
    pairs = ["".join(calls[at : at + 2]) for at in range(4, len(calls), 2)]
    assert pairs == ["ba", "ab", "ba", "ab"]


def test_times_belong_to_the_call_that_took_them(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0]
    monkeypatch.setattr(time, "perf_counter_ns", lambda: clock[0])

    def takes(milliseconds: float) -> None:
        clock[0] += int(milliseconds * 1e6)

    ours, theirs = measure.interleave(lambda: takes(2), lambda: takes(5), rounds=6, warmup=1)
    np.testing.assert_array_equal(ours, [2.0] * 6)
    np.testing.assert_array_equal(theirs, [5.0] * 6)


def test_the_ratio_is_the_median_of_ratios_so_that_a_slow_minute_cancels_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slowdown = np.array([1.0, 1.0, 10.0, 10.0, 10.0])
    times = (2.0 * slowdown, 4.0 * slowdown)
    monkeypatch.setattr(measure, "interleave", lambda *args, **kwargs: times)
    found = measure.compare(int, int, runtime="onnx", threads=3, rounds=5)
    assert (found.ratio, found.ratio_low, found.ratio_high) == (0.5, 0.5, 0.5)
    assert (found.median_ms, found.baseline_median_ms) == (20.0, 40.0)
    assert (found.min_ms, found.max_ms) == (2.0, 20.0)
    assert (found.p95_ms, found.baseline_p95_ms) == (20.0, 40.0)
    assert (found.runtime, found.threads, found.rounds) == ("onnx", 3, 5)


def test_a_call_that_sleeps_longer_is_found_slower() -> None:
    found = measure.compare(
        lambda: time.sleep(0.02), lambda: time.sleep(0.002), runtime="x", threads=1, rounds=5
    )
    assert found.ratio > 1 > 1 / found.ratio
    assert found.median_ms >= 20
    assert found.min_ms <= found.median_ms <= found.p95_ms <= found.max_ms


def test_the_peak_starts_anew_and_sees_memory_that_is_gone() -> None:
    measure.reset_peak()
    before = measure.peak_rss_bytes()
    # Fresh pages from the system: an array might reuse memory that the process already holds.
    with mmap.mmap(-1, 30_000_000) as block:
        for page in range(0, len(block), mmap.PAGESIZE):
            block[page] = 1
    after = measure.peak_rss_bytes()
    assert after - before > 20_000_000
    measure.reset_peak()
    assert measure.peak_rss_bytes() < after


def test_the_environment_names_machine_and_packages() -> None:
    found = measure.environment()
    assert found["cpu"]
    assert found["cores"] >= 1
    assert found["memory_bytes"] > 1e8
    assert {"torch", "onnxruntime", "numpy"} <= found["packages"].keys()
    assert found["packages"]["numpy"] == np.__version__
