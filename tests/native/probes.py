"""Builds the small programs that run kernels outside Python: other processors, sanitizers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
NATIVE = HERE.parents[1] / "native"
# The contract forbids the compiler to fuse a product and a sum by itself.
FLAGS = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-pthread")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
ARM_COMPILER = "aarch64-linux-gnu-g++"


def build(
    compiler: str, folder: Path, probe: str, operations: tuple[str, ...], *flags: str
) -> Path:
    """Builds `probe`.cc with native/base and the kernels of some operations; skips without it."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    program = folder / probe
    sources = list(NATIVE.glob("base/*.cc"))
    for operation in operations:
        sources += NATIVE.glob(f"kernels/{operation}/*.cc")
    command = [*FLAGS, f"-I{NATIVE}", *flags, *sources, HERE / f"{probe}.cc", "-o", program]
    subprocess.run([compiler, *map(str, command)], check=True)
    return program


def emulator(processor: str) -> list[str]:
    """Returns the command that runs an arm64 program on a processor; skips without it."""
    if shutil.which("qemu-aarch64") is None:
        pytest.skip("qemu-aarch64 is not installed")
    return ["qemu-aarch64", "-cpu", processor]
