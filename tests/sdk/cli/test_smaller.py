"""Mirrors smaller.py and hidden.py of lamella.cli: `lamella kernels bench --machine avx2`."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from lamella import _native
from lamella.cli.smaller import C_LIBRARY, restart_on
from lamella.errors import DeviceError, InputError

needs_faults = pytest.mark.skipif(
    not _native.can_hide_features(), reason="CPUID cannot be made to fault here (cpuid_fault)"
)
# `lamella.cli.hidden`, with a memory that takes no time to fill.
BENCH = """
import sys
from lamella import _native
_native.hide_features(sys.argv.pop(1))
import numpy, torch
from numpy._core._multiarray_umath import __cpu_features__ as features
from lamella.benchmark.kernels import operations, timing
from lamella.cli.entry import main
operations.last_cache_bytes, operations.READ, timing.READ = lambda: 1 << 19, 1 << 12, 1 << 12
print(torch.backends.cpu.get_cpu_capability(), [name for name in features if features[name]
      and name.startswith("AVX")], file=sys.stderr)
main()
"""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command, given = [sys.executable, *arguments], {**os.environ, **environment}
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False)


@needs_faults
def test_kernels_and_peers_see_the_smaller_machine_and_rows_name_it() -> None:
    asked = [
        "kernels",
        "bench",
        "--machine",
        "avx2",
    ]
    shape = ["--op", "linear_w4a8", "--shape", "1x64x32", "--threads", "1", "--rounds", "3"]
    done = run("-c", BENCH, "avx2", *asked, *shape, "-o", "json", LAMELLA_ISA="avx2")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "AVX2 ['AVX', 'AVX2']\n"
    rows = json.loads(done.stdout)
    assert [(row["isa"], row["machine"]) for row in rows] == [("avx2", "avx2")]
    assert rows[0]["ratio_torch"] > 0
    assert rows[0]["ratio_onnxruntime"] > 0


@needs_faults
def test_the_command_starts_again_with_all_that_it_was_given() -> None:
    command = ["-m", "lamella.cli", "kernels", "bench", "--machine", "avx2", "--op", "gemm"]
    done = run(*command)
    assert done.returncode == 3
    assert done.stderr.startswith("InputError: --op knows linear_w2a8")
    assert done.stderr.endswith("not 'gemm'\n")


@needs_faults
@pytest.mark.parametrize("folder", ["", "/bin"])
def test_a_new_process_gets_the_same_set_for_kernels_and_c_library(
    monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    seen: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda *given: seen.append(given))
    monkeypatch.setattr(sys, "argv", ["lamella", "kernels", "bench", "--machine", "avx2"])
    monkeypatch.setattr(sys, "path", [folder, *sys.path])
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=0")
    restart_on("avx2")
    [(program, command, environment)] = seen
    assert program == command[0] == sys.executable
    assert ("-P" in command) == (folder != "")
    assert command[-7:] == ["-m", "lamella.cli.hidden", "avx2", *sys.argv[1:]]
    assert environment["LAMELLA_ISA"] == "avx2"
    assert environment["GLIBC_TUNABLES"] == f"glibc.malloc.check=0:{C_LIBRARY}"


def test_the_whole_processor_needs_no_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "execve")
    restart_on("native")


def test_where_nothing_can_be_hidden_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_native, "can_hide_features", lambda: False)
    with pytest.raises(DeviceError, match=r"--machine avx2 needs Linux .* CPUID can fault"):
        restart_on("avx2")


def test_a_set_that_the_processor_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_native, "can_hide_features", lambda: True)
    monkeypatch.setattr(_native, "isa_of_this_processor", lambda: ["portable", "avx2", "avxvnni"])
    for machine in ("avx512", "portable", "alpha"):
        with pytest.raises(InputError, match=f"knows native, avx2, avxvnni .* not '{machine}'"):
            restart_on(machine)
