"""A session: one artifact, open and ready to run on this device."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Protocol

import numpy as np

from lamella.artifact import manifest, reader
from lamella.artifact.contents import Array, Bytes, Contents
from lamella.artifact.manifest import Port
from lamella.errors import DeviceError, InputError
from lamella.runtime.verification import Verification, compare

# The only modules that an artifact can cause to be imported, by the target its manifest names.
RUNNERS = {
    "onnx": "lamella.targets.onnx.runner",
    "native": "lamella.targets.native.runner",
    "tvm": "lamella.targets.tvm.runner",
}
_STATUS = Path("/proc/self/status")


class Runner(Protocol):
    """An opened program; `lamella.targets.<name>.runner.open_program` returns one."""

    def run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        """Computes the outputs for inputs that the session has checked."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: the mapped file, the program inside it, and this process now and at its peak."""

    file_bytes: int
    program_bytes: int
    rss_bytes: int
    peak_rss_bytes: int


class Session:
    """An open artifact. Use it as a context manager, or call `close`."""

    def __init__(self, path: Path, contents: Contents, runner: Runner) -> None:
        self.path = path
        self.inputs = manifest.ports(contents.manifest, "inputs", str(path))
        self.outputs = manifest.ports(contents.manifest, "outputs", str(path))
        self._contents = contents
        self._file_bytes = path.stat().st_size
        self._runner: Runner | None = runner

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The manifest of the artifact; FORMAT.md lists its keys."""
        return self._contents.manifest

    @property
    def attachments(self) -> Mapping[str, Bytes]:
        """The files that travel with the program, such as `tokenizer.json`."""
        return MappingProxyType(dict(self._contents.attachments))

    @property
    def layers(self) -> tuple[dict[str, Any], ...]:
        """The layer table: one row per layer with at least id, format and nbytes."""
        return tuple(dict(row) for row in self.manifest["layers"])

    def run(self, inputs: Mapping[str, Array] | None = None, /, **named: Array) -> dict[str, Array]:
        """Runs the program on arrays given by name, in a dict or as keywords.

        Returns:
            The outputs by name.

        Raises:
            InputError: an input is missing or unknown, or has another dtype, rank or size than the
                program takes.
            DeviceError: the session is closed, or the runner fails.
        """
        if self._runner is None:
            raise DeviceError(f"the session of {self.path} is closed; load the file again")
        feeds = {**(inputs or {}), **named}
        self._check(feeds)
        return self._runner.run(feeds)

    def calls(self) -> list[tuple[str, str]]:
        """Returns operation and layer of each call of the program.

        Raises:
            DeviceError: the runner does not know them.
        """
        found: list[tuple[str, str]] = self._timed().calls()
        return found

    def profile(self, inputs: Mapping[str, Array]) -> list[float]:
        """Runs the program once and returns the seconds of each call.

        Raises:
            InputError: as `run` does.
            DeviceError: the runner cannot time its calls, or fails.
        """
        self._check(inputs)
        found: list[float] = self._timed().profile(inputs)
        return found

    def _timed(self) -> Any:
        if hasattr(self._runner, "profile"):
            return self._runner
        raise DeviceError(
            f"{self.path}: calls can be timed for the target native, and not for language models; "
            f"this is a {self.manifest['target']} program; `lamella bench` times it as a whole"
        )

    def own_decoder(self) -> Any:
        """Returns an empty text of a runner that keeps the caches of texts itself, else None."""
        begin = getattr(self._runner, "decoder", None)
        return None if begin is None else begin()

    def verify(self, *, strict: bool = True) -> Verification:
        """Runs the canary and compares the outputs with those of the machine that packed it.

        Raises:
            DeviceError: the outputs lie outside the tolerance of the manifest. With `strict=False`
                the verdict is returned instead.
        """
        canary = self._contents.canary
        tolerance = manifest.tolerance(self.manifest, str(self.path))
        found = self.run(canary.inputs)
        verdict = compare(canary.outputs, found, tolerance)
        if strict and not verdict.ok:
            raise DeviceError(
                f"{self.path} computes something else on this device than where it was packed: "
                f"{verdict.detail}; update the runtime or build the artifact for this device"
            )
        return verdict

    def memory(self) -> Memory:
        """Returns the sizes of file, program and process, in bytes."""
        program = sum(len(content) for content in self._contents.program.values())
        return Memory(self._file_bytes, program, *resident())

    def close(self) -> None:
        """Releases the program; the file is unmapped when no array views it any more."""
        self._runner = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check(self, feeds: Mapping[str, Array]) -> None:
        names = [port.name for port in self.inputs]
        missing = [name for name in names if name not in feeds]
        unknown = [name for name in feeds if name not in names]
        if missing or unknown:
            flaw = f"without {', '.join(missing)}" if missing else f"with {', '.join(unknown)}"
            raise InputError(
                f"{self.path} cannot run {flaw}; its inputs are {', '.join(names) or 'none'}"
            )
        for port in self.inputs:
            _check_array(port, feeds[port.name], str(self.path))


def load(path: str | Path, *, threads: int = 0, verify: bool = True) -> Session:
    """Opens an artifact on this device.

    Args:
        path: a .lamella file.
        threads: how many threads the runner may use; 0 leaves the choice to it.
        verify: compare every section of the file with its checksum first.

    Raises:
        ArtifactError: the file cannot be read or is damaged.
        DeviceError: the file is built for a target that this installation cannot run.
        InputError: `threads` is negative.
    """
    if threads < 0:
        raise InputError(f"threads must be 0 (automatic) or more, not {threads}")
    contents = reader.read(path, verify=verify)
    target = contents.manifest["target"]
    if target not in RUNNERS:
        raise DeviceError(
            f"{path} is built for the target {target!r}; this lamella runs {', '.join(RUNNERS)}"
        )
    try:
        module = importlib.import_module(RUNNERS[target])
    except ImportError as error:
        raise DeviceError(f"{path} needs the runtime of target {target!r}: {error}") from error
    return Session(Path(path), contents, module.open_program(contents.program, threads))


def _check_array(port: Port, array: Any, where: str) -> None:
    if not isinstance(array, np.ndarray):
        raise InputError(
            f"{where}: input {port.name!r} is a {type(array).__name__}, not a numpy array"
        )
    if array.dtype.name != port.dtype:
        raise InputError(
            f"{where}: input {port.name!r} is {array.dtype.name}, the program takes {port.dtype}; "
            f"convert it with .astype({port.dtype!r})"
        )
    sizes = [axis if isinstance(axis, int) else None for axis in port.shape]
    fits = array.ndim == len(sizes) and all(
        size is None or size == given for size, given in zip(sizes, array.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if axis is None else str(axis) for axis in port.shape)
        raise InputError(
            f"{where}: input {port.name!r} has shape {array.shape}, the program takes ({wanted})"
        )


def resident() -> tuple[int, int]:
    """Returns the resident bytes of this process, now and at the peak."""
    text = _STATUS.read_text() if _STATUS.exists() else ""
    rows = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    if {"VmRSS", "VmHWM"} <= rows.keys():
        # Linux and Android. getrusage would also count what the parent had before exec.
        now, peak = (int(rows[key].split()[0]) * 1024 for key in ("VmRSS", "VmHWM"))
        return now, max(now, peak)
    import resource

    import psutil

    unit = 1 if sys.platform == "darwin" else 1024
    now = psutil.Process().memory_info().rss
    return now, max(now, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
