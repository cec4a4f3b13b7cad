"""Mirrors native/base/isa.cc: what LAMELLA_ISA does, each time in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from native.rows import selected

from lamella import _native

PRINT_CHOICE = (
    "import json\n"
    "from lamella import _native\n"
    "chosen = [_native.linear_a8_kernel(4).name, _native.linear_input_kernel().name]\n"
    "print(json.dumps([_native.isa(), _native.pack_kernel().name, *chosen]))"
)
NAMES = ("portable", "avx2", "avxvnni", "avx512", "avx512vbmi2", "neon", "dotprod", "i8mm")


def choose(isa: str | None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "LAMELLA_ISA"}
    if isa is not None:
        environment["LAMELLA_ISA"] = isa
    command = [sys.executable, "-c", PRINT_CHOICE]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def chosen(isa: str | None) -> tuple[list[str], list[str]]:
    done = choose(isa)
    assert done.returncode == 0, done.stderr
    names, *kernels = json.loads(done.stdout)
    return names, kernels


def kernels_of(isa: str) -> list[str]:
    return [selected(work, isa) for work in ("pack", "linear_w4a8", "linear_input")]


def test_portable_forces_the_portable_kernels() -> None:
    assert chosen("portable") == (["portable"], kernels_of("portable"))


@pytest.mark.parametrize("isa", _native.isa_of_this_processor())
def test_a_named_set_forces_its_kernels(isa: str) -> None:
    names, kernels = chosen(isa)
    assert names[-1] == isa
    assert kernels == kernels_of(isa)


@pytest.mark.parametrize("isa", [None, ""])
def test_without_a_name_the_best_kernels_of_the_processor_are_chosen(isa: str | None) -> None:
    of_width = [kernel for kernel in _native.linear_a8_kernels() if kernel.bits == 4]
    lists = (_native.pack_kernels(), of_width, _native.linear_input_kernels())
    best = [next(kernel.name for kernel in kernels if kernel.runs_here) for kernels in lists]
    assert chosen(isa) == (_native.isa_of_this_processor(), best)


@pytest.mark.parametrize("isa", ["AVX2", "avx1024", "none", "avx2,portable"])
def test_an_unknown_name_is_an_error_that_lists_the_names(isa: str) -> None:
    done = choose(isa)
    assert done.returncode == 1
    assert f'LAMELLA_ISA is "{isa}", which is none of {", ".join(NAMES)};' in done.stderr


@pytest.mark.parametrize("isa", sorted(set(NAMES) - set(_native.isa_of_this_processor())))
def test_a_set_that_the_processor_lacks_is_an_error(isa: str) -> None:
    done = choose(isa)
    assert done.returncode == 1
    assert f"LAMELLA_ISA is {isa}, which this processor lacks" in done.stderr
