"""Runs a lowered ONNX program on stock onnxruntime; needs numpy and onnxruntime, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime

from lamella.errors import DeviceError

PROGRAM = "model.onnx"

Array = npt.NDArray[np.generic]

_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    **{
        f"tensor({sign}int{bits})": f"{sign}int{bits}"
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
}


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output: its name, numpy type, and sizes; a text stands for a free size."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Runner:
    """An open program. `inputs` and `outputs` describe what `run` takes and returns."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self.inputs = tuple(_port(entry) for entry in session.get_inputs())
        self.outputs = tuple(_port(entry) for entry in session.get_outputs())

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the program once.

        Args:
            feeds: one array per input, of exactly its type and of a shape that fits it.

        Raises:
            DeviceError: an input is missing, unknown, or does not fit; or onnxruntime fails.
        """
        names = {port.name for port in self.inputs}
        if set(feeds) != names:
            raise DeviceError(
                f"the program takes the inputs {', '.join(sorted(names)) or 'none'}, given are: "
                f"{', '.join(sorted(feeds)) or 'none'}"
            )
        _check(self.inputs, feeds)
        wanted = [port.name for port in self.outputs]
        try:
            results = self._session.run(wanted, dict(feeds))
        except Exception as error:  # onnxruntime's own classes are not public
            raise DeviceError(f"onnxruntime failed to run the program: {error}") from error
        return dict(zip(wanted, results, strict=True))


def open_program(files: Mapping[str, bytes], threads: int = 0) -> Runner:
    """Opens a program with all optimisations of onnxruntime.

    Args:
        files: the files of the artifact's program section; `model.onnx` is read.
        threads: threads within one operator; 0 leaves the number to onnxruntime.

    Raises:
        DeviceError: the file is missing or onnxruntime refuses it, or `threads` is negative.
    """
    if PROGRAM not in files:
        raise DeviceError(
            f"the artifact has no {PROGRAM}, only: {', '.join(sorted(files)) or 'nothing'}; "
            "it was lowered for another target"
        )
    if threads < 0:
        raise DeviceError(f"threads must be 0 (automatic) or more, not {threads}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    content = bytes(files[PROGRAM])
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes are not public
        raise DeviceError(
            f"onnxruntime {onnxruntime.__version__} refuses {PROGRAM}: {error}"
        ) from error
    return Runner(session)


def _check(ports: tuple[Port, ...], feeds: Mapping[str, Array]) -> None:
    sizes: dict[str, int] = {}
    for port in ports:
        array = feeds[port.name]
        if not isinstance(array, np.ndarray):
            raise DeviceError(
                f"input {port.name} must be a numpy array, not {type(array).__name__}"
            )
        if array.dtype.name != port.dtype:
            raise DeviceError(f"input {port.name} must be {port.dtype}, not {array.dtype.name}")
        if len(array.shape) != len(port.shape) or not _fits(array.shape, port.shape, sizes):
            raise DeviceError(
                f"input {port.name} must have the shape {_text(port.shape)}, not "
                f"{_text(array.shape)}"
            )


def _fits(shape: tuple[int, ...], wanted: tuple[int | str, ...], sizes: dict[str, int]) -> bool:
    """Whether a shape has the fixed sizes, and free sizes of one name are equal everywhere."""
    return all(
        size == (sizes.setdefault(want, size) if isinstance(want, str) else want)
        for size, want in zip(shape, wanted, strict=True)
    )


def _text(shape: tuple[int | str, ...]) -> str:
    return f"({', '.join(str(size) for size in shape)})"


def _port(entry: onnxruntime.NodeArg) -> Port:
    shape = tuple(
        f"{entry.name}.{axis}" if size is None else size for axis, size in enumerate(entry.shape)
    )
    return Port(entry.name, _TYPES.get(entry.type, entry.type), shape)
