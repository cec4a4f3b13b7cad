"""What a lowered program consists of: a library, packed parameters, and a description of both.

`model.so` is a TVM executable whose `main` takes the inputs and then the parameters;
`params.bin` holds the parameters one after the other, each at a multiple of 64 bytes;
`program.json` says what and where they are. This module needs numpy only: it runs on devices.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lamella.errors import ArtifactError

LIBRARY = "model.so"
PARAMETERS = "params.bin"
DESCRIPTION = "program.json"
ALIGNMENT = 64

Array = npt.NDArray[Any]
Size = int | str


@dataclass(frozen=True, slots=True)
class Port:
    """One input, output or parameter; a size that is a text is known when the model runs."""

    name: str
    dtype: str
    shape: tuple[Size, ...]
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Description:
    """The contents of `program.json`.

    `architecture` is the CPU (`uname -m`), `needs` the flags of /proc/cpuinfo that the code uses,
    `device` where it runs: cpu or cuda.
    """

    architecture: str
    needs: tuple[str, ...]
    device: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    parameters: tuple[Port, ...]

    def to_json(self) -> bytes:
        """Returns the bytes of the file; equal descriptions give equal bytes."""
        return (json.dumps(asdict(self), indent=1, sort_keys=True) + "\n").encode()


def lay_out(parameters: Mapping[str, Array]) -> tuple[tuple[Port, ...], bytes]:
    """Returns where each parameter lies, and the bytes of `params.bin`."""
    ports: list[Port] = []
    content = bytearray()
    for name, array in parameters.items():
        content.extend(bytes(-len(content) % ALIGNMENT))
        ports.append(Port(name, array.dtype.name, array.shape, len(content)))
        content.extend(array.tobytes())
    return tuple(ports), bytes(content)


def read_description(content: bytes) -> Description:
    """Reads `program.json`.

    Raises:
        ArtifactError: it is not JSON, or a field is missing or of the wrong type.
    """
    try:
        fields = json.loads(content)
        ports = {
            key: _ports(fields[key], free=key != "parameters")
            for key in ("inputs", "outputs", "parameters")
        }
        needs = tuple(str(flag) for flag in fields["needs"])
        return Description(str(fields["architecture"]), needs, str(fields["device"]), **ports)
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{DESCRIPTION} of the TVM program is damaged: {error!r}; lower the model again"
        ) from error


def views(ports: tuple[Port, ...], content: Array) -> Iterator[Array]:
    """Yields the parameters as arrays over the bytes of `params.bin`, (bytes,) uint8.

    Raises:
        ArtifactError: a parameter reaches beyond the end of the bytes.
    """
    for port in ports:
        shape = tuple(int(size) for size in port.shape)
        dtype, count = np.dtype(port.dtype), math.prod(shape)
        nbytes = count * dtype.itemsize
        if not 0 <= port.offset <= len(content) - nbytes:
            raise ArtifactError(
                f"{PARAMETERS} of the TVM program is too short for the parameter {port.name}: "
                f"{nbytes} bytes at {port.offset} of {len(content)}"
            )
        yield np.frombuffer(content, dtype, count, port.offset).reshape(shape)


def _ports(rows: list[dict[str, Any]], *, free: bool) -> tuple[Port, ...]:
    """Reads rows of the file; only where `free` is set may a size be a text."""
    ports = tuple(
        Port(str(row["name"]), str(row["dtype"]), tuple(row["shape"]), row["offset"])
        for row in rows
    )
    for port in ports:
        if np.dtype(port.dtype).kind not in "biuf":
            raise ValueError(f"{port.name} has no numbers but {port.dtype}")
        if type(port.offset) is not int:
            raise TypeError(f"{port.name} has the offset {port.offset!r}")
        for size in port.shape:
            whole = type(size) is int and size >= 0
            if not whole and not (free and isinstance(size, str)):
                raise ValueError(f"{port.name} has the size {size!r}")
    return ports
