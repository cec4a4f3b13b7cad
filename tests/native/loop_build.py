"""Compiles the objects whose loops are counted, as the package and the arm64 builds have them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import cmake
import ninja
from native.loop_rows import ARM
from native.probes import ARM_COMPILER, NATIVE

OBJECTS = Path("CMakeFiles/lamella_kernels.dir/kernels")
CROSS = ("-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_CXX_COMPILER={ARM_COMPILER}")


def objects(folder: Path, triple: str, sources: Sequence[str]) -> dict[str, Path]:
    """Returns the object of each source, compiled in a folder where it is missing or old."""
    command = Path(cmake.CMAKE_BIN_DIR) / "cmake"
    if not (folder / "build.ninja").exists():
        configure = [
            *(command, "-G", "Ninja", "-S", NATIVE, "-B", folder, "-DLAMELLA_PYTHON=OFF"),
            f"-DCMAKE_MAKE_PROGRAM={Path(ninja.BIN_DIR) / 'ninja'}",
            *(CROSS if triple == ARM else ()),
        ]
        subprocess.run(configure, check=True, stdout=subprocess.DEVNULL)
    paths = {source: OBJECTS / f"{source}.cc.o" for source in sources}
    build = [command, "--build", folder, "--parallel", "2", "--target", *paths.values()]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    return {source: folder / path for source, path in paths.items()}
