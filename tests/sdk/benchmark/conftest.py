"""A report with every kind of row."""

from __future__ import annotations

from typing import Any

import pytest

from lamella.benchmark.report import Report


def layer(name: str, **changed: Any) -> dict[str, Any]:
    fields = {
        "id": name,
        "format": "w4g32",
        "support": "kernel",
        "bytes": 1200,
        "bits": 4.5,
        "sensitivity": 0.01,
        "sqnr_db": 20.0,
    }
    return fields | changed


@pytest.fixture
def report() -> Report:
    times = {"median_ms": 1.0, "p95_ms": 1.5, "min_ms": 0.9, "max_ms": 2.0, "rounds": 5}
    times |= {"baseline_median_ms": 2.0, "baseline_p95_ms": 2.5}
    times |= {"ratio": 0.5, "ratio_low": 0.4, "ratio_high": 0.6}
    return Report(
        model="toy <model>",
        target="onnx",
        file="model.lamella",
        size_bytes=250_000,
        baseline_bytes=1_000_000,
        params=200_000,
        bits_per_weight=10.0,
        layers=[
            layer("stem"),
            layer("depth", support="size only", sensitivity=None),
            layer("head", format="f32", support="float", sqnr_db=None, sensitivity=0.0),
        ],
        fidelity=[
            {"name": "score", "value": 0.9, "spread": None, "drop": 0.01, "what": "artifact"},
            {"name": "kl", "value": 0.02, "spread": 0.001, "drop": 0.02, "what": "artifact"},
        ],
        latency=[{**times, "runtime": "onnx", "threads": 2}],
        forecast={"size_bytes": 240_000, "seconds": 12.0},
        promised={"size_bytes": 245_000, "drop": 0.0098, "metric": "score"},
        measured={"size_bytes": 250_000, "seconds": 11.0, "drop": 0.01},
        pareto=[{"size_bytes": 1e5 * at, "drop": 0.1 / at} for at in range(1, 5)],
        notes=["layer depth: repaired & named"],
        plan="version: 1\nrules: []\n",
        command="lamella optimize toy.py -o 'my out'",
        environment={"cpu": "a <fast> one"},
    )
