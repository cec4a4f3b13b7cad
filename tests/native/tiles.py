"""Compares the kernels for integer dots with exact int32 arithmetic on a million random tiles each.

`make test-long` runs it, for this processor and, where the emulator is installed, for arm64.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from native.probes import ARM_COMPILER, build, emulator

OPERATIONS = ("linear_a8", "linear_input", "sparse_linear_a8", "conv2d_a8", "depthwise_a8")
TILES = 1_000_000


def program(compiler: str, folder: Path, *flags: str) -> Path:
    """Builds the probe that compares."""
    return build(compiler, folder, "probe_tiles", OPERATIONS, *flags)


def compared(command: list[str | Path], tiles: int) -> dict[str, str]:
    """Returns for each kernel how many tiles it got, or that it is untested."""
    done = subprocess.run([*command, str(tiles)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(line.split("\t") for line in done.stdout.splitlines())


def main() -> None:
    """Prints what each kernel got; fails at the first sum that differs."""
    with tempfile.TemporaryDirectory() as name:
        commands = [("g++", [])]
        if shutil.which("qemu-aarch64") is None or shutil.which(ARM_COMPILER) is None:
            print(f"arm64 is untested: {ARM_COMPILER} or qemu-aarch64 is not installed")
        else:
            commands.append((ARM_COMPILER, emulator("max")))
        for compiler, command in commands:
            folder = Path(name) / "tests" / compiler
            folder.mkdir(parents=True)
            built = program(compiler, folder, "-O3", "-static")
            for kernel, tiles in compared([*command, built], TILES).items():
                print(f"{kernel:<32} {tiles:>12}", flush=True)


if __name__ == "__main__":
    main()
