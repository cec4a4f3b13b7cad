"""Latency: warm-up, then A and B in turns, so that their ratio holds on a noisy machine."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from lamella.progress import track
from lamella.runtime.session import resident

# Writing 5 here sets the peak of a Linux process to its present size, see proc(5).
_CLEAR = Path("/proc/self/clear_refs")


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of one candidate and of its baseline, run in turns in one process.

    `ratio` is the median over rounds of candidate / baseline, `ratio_low` and `ratio_high` its
    quartiles; below 1 the candidate is faster.
    """

    runtime: str
    threads: int
    rounds: int
    median_ms: float
    p95_ms: float
    min_ms: float
    max_ms: float
    baseline_median_ms: float
    baseline_p95_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float


def interleave(
    candidate: Callable[[], object], baseline: Callable[[], object], rounds: int, warmup: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Times two calls in turns, the order of each pair alternating.

    Returns:
        Two (rounds,) arrays of milliseconds, candidate and baseline.
    """
    for _ in range(warmup):
        candidate()
        baseline()
    times = np.empty((rounds, 2))
    for turn in track(range(rounds), "benchmark"):
        order = ((0, candidate), (1, baseline))
        for column, call in order if turn % 2 else order[::-1]:
            start = time.perf_counter_ns()
            call()
            times[turn, column] = (time.perf_counter_ns() - start) / 1e6
    return times[:, 0], times[:, 1]


def compare(
    candidate: Callable[[], object],
    baseline: Callable[[], object],
    *,
    runtime: str,
    threads: int,
    rounds: int = 30,
) -> Latency:
    """Measures a candidate against a baseline and summarises both."""
    ours, theirs = interleave(candidate, baseline, rounds, warmup=3)
    low, middle, high = np.percentile(ours / theirs, (25, 50, 75))
    return Latency(
        runtime=runtime,
        threads=threads,
        rounds=rounds,
        median_ms=float(np.median(ours)),
        p95_ms=float(np.percentile(ours, 95)),
        min_ms=float(ours.min()),
        max_ms=float(ours.max()),
        baseline_median_ms=float(np.median(theirs)),
        baseline_p95_ms=float(np.percentile(theirs, 95)),
        ratio=float(middle),
        ratio_low=float(low),
        ratio_high=float(high),
    )


def reset_peak() -> None:
    """Makes `peak_rss_bytes` start anew from the present size, where the system can do that."""
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")


def peak_rss_bytes() -> int:
    """Returns the largest resident size of this process since `reset_peak`, in bytes."""
    return resident()[1]


def environment() -> dict[str, Any]:
    """Returns what a reader must know to judge or repeat a measurement."""
    packages = ("lamella", "torch", "onnx", "onnxruntime", "apache-tvm", "numpy")
    found = {dist.metadata["Name"].lower(): dist.version for dist in metadata.distributions()}
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found[name] for name in packages if name in found},
    }


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [
                line.split(":", 1)[1].strip() for line in file if line.startswith("model name")
            ]
    except OSError:
        names = []
    return names[0] if names else platform.processor()
