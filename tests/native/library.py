"""The libraries for apps, built once in a run of tests, and their C API for Python."""

from __future__ import annotations

import ctypes
import fcntl
import os
import subprocess
from pathlib import Path

import cmake
import ninja
from native.probes import NATIVE

FLOAT32, INT32 = 0, 4
OK, BAD_FILE, BAD_ARGUMENT, FAILED = 0, 1, 2, 4


class Tensor(ctypes.Structure):
    """lamella_tensor."""

    _fields_ = [
        ("dtype", ctypes.c_int),
        ("rank", ctypes.c_uint32),
        ("sizes", ctypes.c_int64 * 6),
        ("data", ctypes.c_void_p),
    ]


class Options(ctypes.Structure):
    """lamella_options."""

    _fields_ = [("threads", ctypes.c_uint32), ("capacity", ctypes.c_uint32)]


class Memory(ctypes.Structure):
    """lamella_memory."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("weights", "arena", "state", "scratch")]


def run_folder(folder: Path) -> Path:
    """Returns the folder of this run of tests, which its workers share, for one of a test's."""
    return folder.parents[1] if "PYTEST_XDIST_WORKER" in os.environ else folder.parent


def installed(folder: Path) -> Path:
    """Builds for size and installs, unless a test of this run has done it; returns the prefix."""
    run = run_folder(folder)
    prefix = run / "installed"
    with open(run / "installed.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not prefix.exists():
            build = run / "library"
            configure(NATIVE, build, "-DLAMELLA_PYTHON=OFF", "-DLAMELLA_SIZE=ON")
            run_cmake("--install", build, "--prefix", run / "part")
            (run / "part").rename(prefix)
    return prefix


def configure(source: Path, build: Path, *options: str) -> None:
    """Configures and builds with CMake."""
    made = f"-DCMAKE_MAKE_PROGRAM={Path(ninja.BIN_DIR) / 'ninja'}"
    run_cmake("-G", "Ninja", "-S", source, "-B", build, made, *options)
    run_cmake("--build", build, "--parallel", "2")


def run_cmake(*arguments: str | Path) -> None:
    """Runs CMake; a failure shows what it printed."""
    command = [Path(cmake.CMAKE_BIN_DIR) / "cmake", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def open_library(prefix: Path) -> ctypes.CDLL:
    """Loads the shared library and declares what returns more than an int."""
    library = ctypes.CDLL(str(next(prefix.glob("lib*/liblamella.so"))))
    for name in ("lamella_model_error", "lamella_error", "lamella_input", "lamella_output"):
        getattr(library, name).restype = ctypes.c_char_p
    library.lamella_attachment.restype = ctypes.c_void_p
    return library
