"""Builds the small programs that run kernels outside Python: other processors, sanitizers."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
NATIVE = HERE.parents[1] / "native"
# The contract forbids the compiler to fuse a product and a sum by itself.
FLAGS = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-pthread")
# Optimizing code with these checks takes minutes.
SANITIZERS = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
# What builds lamella on x86-64.
COMPILERS = ("g++", "clang++-16")
ARM_COMPILER = "aarch64-linux-gnu-g++"


def build(
    compiler: str,
    folder: Path,
    probe: str,
    operations: tuple[str, ...],
    *flags: str,
    native: Path = NATIVE,
    parts: tuple[str, ...] = (),
) -> Path:
    """Builds `probe`.cc with native/base and the kernels of some operations; skips without it.

    `parts` are other folders of native/. The tests of one run share what they compile with the
    same flags.
    """
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    program = folder / probe
    sources = [HERE / f"{probe}.cc", *native.glob("base/*.cc")]
    for operation in operations:
        sources += native.glob(f"kernels/{operation}/*.cc")
    for part in parts:
        sources += native.glob(f"{part}/*.cc")
    # The folder of the run; each of several workers has a folder of its own in it.
    run = folder.parents[1] if "PYTEST_XDIST_WORKER" in os.environ else folder.parent
    command = [compiler, *FLAGS, *flags, f"-I{native}"]
    objects = [_compile(command, source, run / "objects") for source in sources]
    subprocess.run([compiler, *FLAGS, *flags, *objects, "-o", program], check=True)
    return program


def _compile(command: list[str], source: Path, folder: Path) -> Path:
    """Compiles a source unless a test of this run has done it."""
    folder.mkdir(exist_ok=True)
    name = hashlib.sha256(" ".join([*command, str(source)]).encode()).hexdigest()
    compiled = folder / f"{name}.o"
    with open(folder / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not compiled.exists():
            part = compiled.with_suffix(".part")
            subprocess.run([*command, "-c", source, "-o", part], check=True)
            part.rename(compiled)
    return compiled


def emulator(processor: str) -> list[str]:
    """Returns the command that runs an arm64 program on a processor; skips without it."""
    if shutil.which("qemu-aarch64") is None:
        pytest.skip("qemu-aarch64 is not installed")
    return ["qemu-aarch64", "-cpu", processor]


def run_probe(command: Sequence[str | Path], isa: str) -> tuple[bytes, list[str]]:
    """Runs a probe with an instruction set; returns what it writes and the kernels it says."""
    environment = {**os.environ, "LAMELLA_ISA": isa}
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout, done.stderr.decode().split()
