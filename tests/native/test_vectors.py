"""Every build of the kernels gives the bits of vectors.tsv, on whatever processor.

`make test` compares the first shape of each operation under qemu, `make test-arm` (LAMELLA_ARM=all)
every shape with every instruction set.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from native.probes import ARM_COMPILER, COMPILERS, NATIVE, SANITIZERS, emulator
from native.vectors import FILE, HEADING, answer, program

from lamella import _native

# Processors of qemu, and the best set of each.
PROCESSORS = {"max": "i8mm", "neoverse-n1": "dotprod", "cortex-a72": "neon"}
SETS = ("portable", "neon", "dotprod", "i8mm")
# Sets with a kernel of their own, of whatever operation.
OWN = {path.stem.rpartition("_")[2] for path in NATIVE.glob("kernels/*/*_*.cc")}


def expected() -> list[str]:
    heading, *lines = FILE.read_text().splitlines(keepends=True)
    assert heading == HEADING
    return [line.rstrip("\n") for line in lines]


def check(command: list[str | Path], cases: str, isa: str) -> None:
    lines, kernels = answer(command, cases, isa)
    if cases == "all":
        assert lines == expected()
    else:
        first = {line.split("\t")[0]: line for line in reversed(expected())}
        assert lines == list(reversed(first.values()))
    ran = {name.rpartition("_")[2] for name in kernels}
    assert isa in ran or isa not in OWN
    works = {name.rpartition("_")[0] for name in kernels}
    assert works == {row["name"].rpartition("_")[0] for row in _native.kernels()}


def test_the_file_has_every_operation_and_no_case_twice() -> None:
    cases = [tuple(line.split("\t")[:2]) for line in expected()]
    assert len(set(cases)) == len(cases)
    named = {operation for operation, _ in cases}
    for row in _native.kernels():
        work = row["name"].rpartition("_")[0]
        # The functions of one array or two have a row each.
        assert work in named or work == "elementwise", f"probe_vectors.cc has no row for {work}"
    kernel = _native.elementwise_kernel()
    functions = {name for name in dir(kernel) if not name.startswith("_")} - {"name", "runs_here"}
    assert functions <= named


@pytest.mark.parametrize("compiler", COMPILERS)
def test_every_instruction_set_of_this_processor_gives_the_bits_and_allocates_nothing(
    compiler: str, tmp_path: Path
) -> None:
    # The flags of the other builds, which share what they compile.
    built = program(compiler, tmp_path, *SANITIZERS)
    refused = subprocess.run([built, "allocating"], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stderr) == (
        1,
        "allocating\nallocating allocates 12 bytes\n",
    )
    for isa in _native.isa_of_this_processor():
        check([built], "all", isa)


@pytest.mark.arm
def test_arm64_gives_the_bits_under_qemu(tmp_path: Path) -> None:
    processors = {name: emulator(name) for name in PROCESSORS}
    built = program(ARM_COMPILER, tmp_path, "-static")
    if os.environ.get("LAMELLA_ARM") != "all":
        check([*processors["max"], built], "small", PROCESSORS["max"])
        return
    for name, best in PROCESSORS.items():
        for isa in SETS[: SETS.index(best) + 1]:
            check([*processors[name], built], "all", isa)
