"""Mirrors sdk/lamella/runtime/inventory.py."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from lamella import _native
from lamella.runtime import inventory

OPERATIONS = Path(__file__).resolve().parents[3] / "native" / "kernels"
CPUINFO = Path("/proc/cpuinfo")
# How Linux calls the features that kernels need.
FLAGS = {
    "AVX2": "avx2",
    "FMA": "fma",
    "F16C": "f16c",
    "BMI2": "bmi2",
    "AVX-VNNI": "avx_vnni",
    "AVX-512 F": "avx512f",
    "AVX-512 BW": "avx512bw",
    "AVX-512 DQ": "avx512dq",
    "AVX-512 VL": "avx512vl",
    "AVX-512 VNNI": "avx512_vnni",
    "AVX-512 VBMI2": "avx512_vbmi2",
}
# The weights of operations that have a kernel for each.
WEIGHTS: dict[str, tuple[int, ...] | tuple[str, ...]] = {
    "linear_a8": _native.formats()["weight_bits"],
    "sparse_linear_a8": (4, 8),
    "linear_float": ("f32", "f16", "w4", "w8"),
    "conv2d_a8": (4, 6, 8),
    "peak": (4, 8, 32),
}


def test_every_operation_and_kernel_of_the_build_is_listed_once() -> None:
    listed = inventory.kernels()
    operations = {path.parent.name for path in OPERATIONS.glob("*/kernels.inc")}
    assert {kernel.operation for kernel in listed} == operations
    for operation in operations:
        names = [kernel.name for kernel in getattr(_native, f"{operation}_kernels")()]
        assert {kernel.name for kernel in listed if kernel.operation == operation} == set(names)
        assert len(set(names)) == len(names)


def test_the_kernel_that_runs_is_the_one_that_is_chosen() -> None:
    listed = inventory.kernels()
    for operation in {kernel.operation for kernel in listed}:
        choose = getattr(_native, f"{operation}_kernel")
        weights = WEIGHTS.get(operation)
        chosen = [choose()] if weights is None else [choose(weight) for weight in weights]
        runs = [kernel.name for kernel in listed if kernel.operation == operation and kernel.runs]
        assert sorted(kernel.name for kernel in chosen) == sorted(runs)


def test_kernels_of_one_work_stand_together_and_one_of_them_runs() -> None:
    listed = inventory.kernels()
    works = [kernel.work for kernel in listed]
    assert len(set(works)) == 1 + sum(a != b for a, b in pairwise(works))
    for work in set(works):
        rows = [kernel for kernel in listed if kernel.work == work]
        assert [kernel.runs for kernel in rows].count(True) == 1
        assert [kernel.reason == "" for kernel in rows] == [kernel.runs for kernel in rows]
        assert rows[-1].name == f"{work}_portable"
        assert rows[-1].needs == ()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the flags are those of x86-64")
@pytest.mark.skipif(not CPUINFO.exists(), reason="only Linux lists the flags of a processor")
def test_the_features_that_are_lacking_are_those_that_the_system_lacks() -> None:
    line = next(row for row in CPUINFO.read_text().splitlines() if row.startswith("flags"))
    present = set(line.split(":")[1].split())
    seen = set()
    for row in _native.kernels():
        assert row["lacks"] == [name for name in row["needs"] if FLAGS[name] not in present]
        seen |= set(row["needs"])
    assert seen == set(FLAGS)


def test_a_missing_feature_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def row(name: str, needs: list[str], lacks: list[str]) -> dict[str, object]:
        values = {"operation": "sum", "name": name, "needs": needs, "lacks": lacks}
        return {**values, "allowed": not lacks}

    rows = [
        row("sum_avx512", ["AVX2", "AVX-512 F", "AVX-512 VNNI"], ["AVX-512 VNNI"]),
        row("sum_avx2", ["AVX2"], []),
        row("sum_portable", [], []),
    ]
    monkeypatch.setattr(_native, "kernels", lambda: rows)
    reasons = {kernel.name: kernel.reason for kernel in inventory.kernels()}
    assert reasons == {
        "sum_avx512": "this processor lacks AVX-512 VNNI",
        "sum_avx2": "",
        "sum_portable": "sum_avx2 is better",
    }


def test_the_variable_is_named_where_it_leaves_a_kernel_out() -> None:
    code = "from lamella.runtime import inventory as i; import json; from dataclasses import asdict"
    code += "; print(json.dumps([asdict(kernel) for kernel in i.kernels()]))"
    environment = {**os.environ, "LAMELLA_ISA": "portable"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True
    )
    here = {kernel.name for kernel in inventory.kernels() if not kernel.reason.startswith("this")}
    for row in json.loads(done.stdout):
        if row["name"].endswith("_portable"):
            assert row["runs"]
        elif row["name"] in here:
            assert row["reason"] == "LAMELLA_ISA is portable"
