"""Builds the small programs that run kernels outside Python: other processors, sanitizers."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from itertools import count
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
NATIVE = HERE.parents[1] / "native"
# The contract forbids the compiler to fuse a product and a sum by itself.
FLAGS = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-pthread")
# Optimizing code with these checks takes minutes.
SANITIZERS = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_NUMBERS = count()
ARM_COMPILER = "aarch64-linux-gnu-g++"


def build(
    compiler: str, folder: Path, probe: str, operations: tuple[str, ...], *flags: str
) -> Path:
    """Builds `probe`.cc with native/base and the kernels of some operations; skips without it.

    The tests of one process share what they compile with the same flags.
    """
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    program = folder / probe
    sources = [HERE / f"{probe}.cc", *NATIVE.glob("base/*.cc")]
    for operation in operations:
        sources += NATIVE.glob(f"kernels/{operation}/*.cc")
    objects = [_compile(compiler, source, flags) for source in sources]
    subprocess.run([compiler, *FLAGS, *flags, *objects, "-o", program], check=True)
    return program


@cache
def _compile(compiler: str, source: Path, flags: tuple[str, ...]) -> Path:
    compiled = _folder() / f"{next(_NUMBERS)}.o"
    command = [compiler, *FLAGS, f"-I{NATIVE}", *flags, "-c", source, "-o", compiled]
    subprocess.run(command, check=True)
    return compiled


@cache
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return Path(folder.name)


def emulator(processor: str) -> list[str]:
    """Returns the command that runs an arm64 program on a processor; skips without it."""
    if shutil.which("qemu-aarch64") is None:
        pytest.skip("qemu-aarch64 is not installed")
    return ["qemu-aarch64", "-cpu", processor]
