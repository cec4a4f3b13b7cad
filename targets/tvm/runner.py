"""Runs a lowered program in TVM's virtual machine; neither torch nor TVM's compiler is loaded."""

from __future__ import annotations

import ctypes
import importlib.util
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lamella.errors import ArtifactError, DeviceError
from lamella.targets.tvm import program
from lamella.targets.tvm.program import Array, Description, Port

_CPU, _CUDA, _POOLED = 1, 2, 2
_DEVICES = {"cpu": _CPU, "cuda": _CUDA}
_CPU_FLAGS = Path("/proc/cpuinfo")

Bytes = bytes | memoryview


class Runner:
    """An open program. `inputs` and `outputs` describe what `run` takes and returns."""

    def __init__(self, files: Mapping[str, Bytes], description: Description, threads: int) -> None:
        self.inputs, self.outputs = description.inputs, description.outputs
        self._device = description.device
        self._ffi = _load_runtime(description.device)
        # Mode 1 prefers the fastest cores; no threads means as many as TVM likes.
        self._ffi.get_global_func("runtime.config_threadpool")(1, threads)
        self._machine = self._open(files[program.LIBRARY])
        aligned = _aligned(np.frombuffer(files[program.PARAMETERS], np.uint8))
        self._parameters = [
            self._tensor(array) for array in program.views(description.parameters, aligned)
        ]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the program once.

        Args:
            feeds: one array per input, of its dtype and shape.

        Raises:
            DeviceError: an input is missing or unknown, or has another dtype or shape; or the
                program fails.
        """
        arguments = [self._tensor(array) for array in checked(self.inputs, feeds)]
        try:
            result = self._machine["main"](*arguments, *self._parameters)
        except (RuntimeError, ValueError, TypeError) as error:
            raise DeviceError(f"TVM failed to run the program: {error}") from error
        tensors = [result] if isinstance(result, self._ffi.Tensor) else list(result)
        names = [port.name for port in self.outputs]
        return {name: self._array(tensor) for name, tensor in zip(names, tensors, strict=True)}

    def _open(self, content: Bytes) -> Any:
        """Loads a library from a private file, which is gone when this returns.

        The code stays mapped without its file, so that nothing is left behind however the
        process ends.
        """
        with tempfile.TemporaryDirectory(prefix="lamella-tvm-") as folder:
            path = Path(folder) / program.LIBRARY
            path.write_bytes(content)
            try:
                library = self._ffi.load_module(str(path), keep_module_alive=False)
                machine = library["vm_load_executable"]()
            except (RuntimeError, AttributeError) as error:
                raise ArtifactError(
                    f"{program.LIBRARY} of the TVM program cannot be loaded: {error}; lower the "
                    "model again with the version of TVM that is installed here"
                ) from error
        devices = dict.fromkeys((_DEVICES[self._device], _CPU))
        machine["vm_initialization"](*(at for kind in devices for at in (kind, 0, _POOLED)))
        return machine

    def _tensor(self, array: Array) -> Any:
        """Returns a tensor on the device; on a CPU it shares the array's memory if aligned."""
        tensor = self._ffi.from_dlpack(_aligned(array))
        if self._device == "cpu":
            return tensor
        empty = self._ffi.get_global_func("runtime.TVMTensorAllocWithScope")
        device = self._ffi.device("cuda", 0)
        placed = empty(self._ffi.Shape(array.shape), tensor.dtype, device, None)
        self._ffi.get_global_func("runtime.TVMTensorCopyFromTo")(tensor, placed)
        return placed

    def _array(self, tensor: Any) -> Array:
        if self._device == "cpu":
            return np.array(np.from_dlpack(tensor))
        host = np.empty(tuple(tensor.shape), np.dtype(str(tensor.dtype)))
        target = self._ffi.from_dlpack(host)
        self._ffi.get_global_func("runtime.TVMTensorCopyFromTo")(tensor, target)
        return host


def open_program(files: Mapping[str, Bytes], threads: int = 0) -> Runner:
    """Opens a program that `TvmTarget.lower` wrote.

    Args:
        files: the files of the artifact's program section.
        threads: CPU threads of every TVM program in this process; 0 leaves the number to TVM.

    Raises:
        ArtifactError: a file is missing or damaged.
        DeviceError: the program is for another machine, TVM is not installed, or `threads` is
            negative.
    """
    for name in (program.LIBRARY, program.PARAMETERS, program.DESCRIPTION):
        if name not in files:
            raise ArtifactError(f"the TVM program has no file {name}; lower the model again")
    if threads < 0:
        raise DeviceError(f"threads must be 0 (automatic) or more, not {threads}")
    description = program.read_description(bytes(files[program.DESCRIPTION]))
    _check_machine(description)
    return Runner(files, description, threads)


def checked(ports: tuple[Port, ...], feeds: Mapping[str, Array]) -> Iterator[Array]:
    """Yields the inputs in order; free sizes of one name must be equal everywhere."""
    if set(feeds) != {port.name for port in ports}:
        raise DeviceError(
            f"the program takes the inputs {', '.join(port.name for port in ports)}, given are: "
            f"{', '.join(sorted(feeds)) or 'none'}"
        )
    sizes: dict[str, int] = {}
    for port in ports:
        array = np.asarray(feeds[port.name])
        fits = len(array.shape) == len(port.shape) and all(
            size == (sizes.setdefault(want, size) if isinstance(want, str) else want)
            for size, want in zip(array.shape, port.shape, strict=True)
        )
        if array.dtype.name != port.dtype or not fits:
            raise DeviceError(
                f"input {port.name} must be {port.dtype} of shape {_text(port.shape)}, not "
                f"{array.dtype.name} of shape {_text(array.shape)}"
            )
        yield array


def _text(shape: tuple[int | str, ...]) -> str:
    return f"({', '.join(str(size) for size in shape)})"


def _aligned(array: Array) -> Array:
    """Returns the array, or a copy, at an address that is a multiple of 64.

    Compiled code loads whole vectors and may rely on it.
    """
    usable = array.flags.c_contiguous and array.flags.writeable
    if usable and array.ctypes.data % program.ALIGNMENT == 0:
        return array
    room = np.empty(array.nbytes + program.ALIGNMENT, np.uint8)
    start = -room.ctypes.data % program.ALIGNMENT
    copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def _check_machine(description: Description) -> None:
    here = platform.machine()
    if here != description.architecture:
        raise DeviceError(
            f"the TVM program is compiled for {description.architecture} and this machine is "
            f"{here}; lower the model again with the triple of this machine"
        )
    if not _CPU_FLAGS.exists():
        return
    flags = set(_CPU_FLAGS.read_text().split())
    if missing := [flag for flag in description.needs if flag not in flags]:
        raise DeviceError(
            f"the TVM program uses the instructions {', '.join(missing)}, which this CPU lacks; "
            "use the onnx target"
        )


def _load_runtime(device: str) -> Any:
    """Loads TVM's runtime and returns its Python interface."""
    if device not in _DEVICES:
        raise ArtifactError(f"the TVM program is for an unknown device {device!r}")
    found = importlib.util.find_spec("tvm")
    if found is None or found.origin is None:
        raise DeviceError("the package apache-tvm is not installed; pip install 'lamella[tvm]'")
    with _without_torch():
        import tvm_ffi
    names = ("libtvm_runtime.so", *(("libtvm_runtime_cuda.so",) if device == "cuda" else ()))
    for name in names:
        path = Path(found.origin).parent / "lib" / name
        try:
            ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
        except OSError as error:
            raise DeviceError(f"TVM's runtime cannot be loaded from {path}: {error}") from error
    return tvm_ffi


@contextmanager
def _without_torch() -> Iterator[None]:
    """Keeps tvm_ffi from importing torch, which it does for a name conflict on Windows."""
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["torch"]
