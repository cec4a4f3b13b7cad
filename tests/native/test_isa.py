"""Mirrors native/base/isa.cc: what LAMELLA_ISA does, each time in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from lamella import _native

PRINT_CHOICE = (
    "import json\n"
    "from lamella import _native\n"
    "print(json.dumps([_native.isa(), _native.pack_kernel().name]))"
)


def choose(isa: str | None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "LAMELLA_ISA"}
    if isa is not None:
        environment["LAMELLA_ISA"] = isa
    command = [sys.executable, "-c", PRINT_CHOICE]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def chosen(isa: str | None) -> tuple[list[str], str]:
    done = choose(isa)
    assert done.returncode == 0, done.stderr
    names, kernel = json.loads(done.stdout)
    return names, kernel


def test_portable_forces_the_portable_kernel() -> None:
    assert chosen("portable") == (["portable"], "pack_portable")


@pytest.mark.parametrize("isa", _native.isa_of_this_processor())
def test_a_named_set_forces_its_kernel(isa: str) -> None:
    names, kernel = chosen(isa)
    assert names[-1] == isa
    assert kernel == f"pack_{isa}"


@pytest.mark.parametrize("isa", [None, ""])
def test_without_a_name_the_best_kernel_of_the_processor_is_chosen(isa: str | None) -> None:
    runnable = [kernel.name for kernel in _native.pack_kernels() if kernel.runs_here]
    assert chosen(isa) == (_native.isa_of_this_processor(), runnable[0])


@pytest.mark.parametrize("isa", ["AVX2", "avx1024", "none", "avx2,portable"])
def test_an_unknown_name_is_an_error_that_lists_the_names(isa: str) -> None:
    done = choose(isa)
    assert done.returncode == 1
    assert f'LAMELLA_ISA is "{isa}", which is none of portable, avx2;' in done.stderr


def test_a_set_that_the_processor_lacks_is_an_error() -> None:
    if "avx2" in _native.isa_of_this_processor():
        pytest.skip("this processor has every set that LAMELLA_ISA names")
    done = choose("avx2")
    assert done.returncode == 1
    assert "which this processor lacks" in done.stderr
