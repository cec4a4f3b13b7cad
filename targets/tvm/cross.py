"""Runs programs that were compiled for arm64 under qemu, with TVM's runtime for that machine.

The runtime comes from the aarch64 wheels of the TVM that is installed here, which pip downloads
once; arm_runner/main.cc is compiled against it.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lamella.errors import DeviceError
from lamella.targets.tvm import program
from lamella.targets.tvm.program import Array, Description
from lamella.targets.tvm.runner import Bytes, checked

COMPILER = "aarch64-linux-gnu-g++"
EMULATOR = "qemu-aarch64"
_LIBC = Path("/usr/aarch64-linux-gnu")
_WHEELS = ("apache-tvm", "apache-tvm-ffi")
# The C interface of TVM is the same for all versions of Python; pip wants one named.
_DOWNLOAD = (
    *("--python-version", "3.11", "--only-binary=:all:", "--no-deps"),
    *("--platform", "manylinux_2_28_aarch64", "--platform", "manylinux_2_17_aarch64"),
)
_NEEDED = ("libtvm_runtime.so", "libtvm_ffi.so")
_RUNNER = "arm_runner"
_SOURCE = Path(__file__).parent / _RUNNER / "main.cc"


@dataclass(frozen=True, slots=True)
class Tools:
    """The runner for arm64 and the folder of the libraries that it needs."""

    runner: Path
    libraries: Path


def missing() -> str:
    """Returns what this machine lacks to run arm64 programs, or an empty text."""
    absent = [name for name in (COMPILER, EMULATOR) if shutil.which(name) is None]
    if not (_LIBC / "lib").is_dir():
        absent.append(f"{_LIBC}/lib (the C library for arm64)")
    return ", ".join(absent)


def prepare(cache: Path | None = None) -> Tools:
    """Downloads the runtime and compiles the runner, unless `cache` holds both already.

    Args:
        cache: a folder in which the tools of each version of TVM have one of their own; by
            default the user's.

    Raises:
        DeviceError: a program is missing, or the download or the compilation fails.
    """
    if lacking := missing():
        raise DeviceError(
            f"running arm64 programs needs {lacking}; on Debian: apt-get install qemu-user "
            "g++-aarch64-linux-gnu"
        )
    folder = (cache or _user_cache()) / _version()
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as name:
            made = Path(name) / "made"
            _download(made)
            _compile(made)
            # Another process may have been faster; its folder is as good.
            with contextlib.suppress(OSError):
                made.rename(folder)
    return Tools(folder / _RUNNER, folder / "lib")


def run_under_qemu(
    files: Mapping[str, Bytes], batches: Sequence[Mapping[str, Array]], tools: Tools | None = None
) -> list[dict[str, Array]]:
    """Runs an arm64 program on every batch and returns its outputs.

    Args:
        files: what `TvmTarget(triple="aarch64").lower` wrote.
        batches: one set of inputs per run.
        tools: from `prepare`, which is called if they are not given.

    Raises:
        DeviceError: the tools are missing, an input does not fit, or the program fails.
    """
    tools = tools or prepare()
    description = program.read_description(bytes(files[program.DESCRIPTION]))
    with tempfile.TemporaryDirectory(prefix="lamella-arm-") as name:
        folder = Path(name)
        for file in (program.LIBRARY, program.PARAMETERS):
            (folder / file).write_bytes(files[file])
        script = folder / "script"
        script.write_text("\n".join(_script(folder, description, batches)) + "\n")
        lines = _emulate(tools, script).splitlines()
        arrays = [_read(line) for line in lines]
    names = [port.name for port in description.outputs]
    if len(arrays) != len(names) * len(batches):
        raise DeviceError(
            f"the arm64 program gave {len(arrays)} outputs for {len(batches)} runs of {len(names)}"
        )
    return [
        dict(zip(names, arrays[at : at + len(names)], strict=True))
        for at in range(0, len(arrays), len(names))
    ]


def _script(
    folder: Path, description: Description, batches: Sequence[Mapping[str, Array]]
) -> Iterator[str]:
    """Yields the lines that arm_runner/main.cc describes, and writes the inputs they name."""
    yield f"library {folder / program.LIBRARY}"
    yield f"parameters {folder / program.PARAMETERS}"
    for port in description.parameters:
        yield f"parameter {port.dtype} {port.offset} {_shape(port.shape)}"
    for run, feeds in enumerate(batches):
        for at, array in enumerate(checked(description.inputs, feeds)):
            path = folder / f"input.{run}.{at}"
            path.write_bytes(array.tobytes())
            yield f"input {array.dtype.name} {path} {_shape(array.shape)}"
        yield f"run {folder / f'output.{run}'}"


def _shape(sizes: Iterable[int | str]) -> str:
    listed = list(sizes)
    return " ".join(str(size) for size in (len(listed), *listed))


def _emulate(tools: Tools, script: Path) -> str:
    command = [EMULATOR, "-cpu", "max", "-L", str(_LIBC)]
    # Emulated threads wait for each other in busy loops: one is the fastest number of them.
    for setting in (f"LD_LIBRARY_PATH={tools.libraries}", "TVM_NUM_THREADS=1"):
        command += ["-E", setting]
    command += [str(tools.runner), str(script)]
    return _run(command, "the arm64 program failed under qemu")


def _read(line: str) -> Array:
    path, dtype, _rank, *sizes = line.split()
    shape = tuple(int(size) for size in sizes)
    return np.fromfile(path, np.dtype(dtype)).reshape(shape)


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lamella"


def _version() -> str:
    """Returns a name that differs whenever the runner must be made anew."""
    versions = (importlib.metadata.version(wheel) for wheel in _WHEELS)
    source = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]
    return "-".join(("tvm-aarch64", *versions, source))


def _download(folder: Path) -> None:
    """Fetches the aarch64 wheels and unpacks the libraries and headers that a runner needs."""
    wheels = [f"{wheel}=={importlib.metadata.version(wheel)}" for wheel in _WHEELS]
    with tempfile.TemporaryDirectory(prefix="lamella-wheels-") as name:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", name]
        _run([*command, *_DOWNLOAD, *wheels], f"pip cannot download {' and '.join(wheels)}")
        for wheel in sorted(Path(name).glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                _unpack(archive, folder)


def _unpack(archive: zipfile.ZipFile, folder: Path) -> None:
    for entry in archive.namelist():
        package, _, inner = entry.partition("/")
        library = Path(entry).name in _NEEDED
        header = package == "tvm_ffi" and inner.startswith("include/")
        if entry.endswith("/") or not (library or header):
            continue
        target = folder / ("lib" if library else "") / (Path(entry).name if library else inner)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(archive.read(entry))


def _compile(folder: Path) -> None:
    command = [COMPILER, "-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror"]
    command += ["-isystem", str(folder / "include"), str(_SOURCE)]
    command += ["-o", str(folder / _RUNNER), *(str(folder / "lib" / name) for name in _NEEDED)]
    _run(command, f"{COMPILER} cannot compile {_SOURCE.name}")


def _run(command: list[str], complaint: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DeviceError(f"{complaint}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
