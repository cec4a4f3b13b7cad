"""The canary on disk: a JSON index and one block of raw little-endian tensors.

Mirrors FORMAT.md, section 6.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from lamella.artifact import documents
from lamella.artifact.contents import Array, Canary
from lamella.artifact.layout import aligned
from lamella.errors import ArtifactError

INDEX = "index.json"
TENSORS = "tensors.bin"

MAX_RANK = 8
MAX_TEXT = 256
# Bounds the elements that a shape may claim, empty axes aside, so that no product overflows.
_MAX_ELEMENTS = 1 << 40
# A larger tensor whose bytes repeat with this period is stored as one period; the second number
# bounds what such a tensor may grow to when it is read.
PERIOD = 1 << 16
_MAX_REPEATED = 1 << 28

DTYPES = {
    "bool": np.dtype("?"),
    "float16": np.dtype("<f2"),
    "float32": np.dtype("<f4"),
    "float64": np.dtype("<f8"),
    "int8": np.dtype("i1"),
    "int16": np.dtype("<i2"),
    "int32": np.dtype("<i4"),
    "int64": np.dtype("<i8"),
    "uint8": np.dtype("u1"),
    "uint16": np.dtype("<u2"),
    "uint32": np.dtype("<u4"),
    "uint64": np.dtype("<u8"),
}
_SIDES = ("inputs", "outputs")
_KEYS = {"name", "dtype", "shape", "offset", "size"}


@dataclass(frozen=True, slots=True)
class _Row:
    """One tensor of the index; `offset` and `size` are the stored bytes in the tensor block."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int


def pack(canary: Canary, where: str) -> tuple[bytes, tuple[memoryview | bytes, ...]]:
    """Returns the index, and the tensor block in pieces that share memory with the arrays.

    Raises:
        ArtifactError: an array has a dtype or rank that the file cannot hold.
    """
    index: dict[str, list[dict[str, Any]]] = {}
    pieces: list[memoryview | bytes] = []
    offset = 0
    for side, arrays in zip(_SIDES, (canary.inputs, canary.outputs), strict=True):
        index[side] = []
        for name in sorted(arrays):
            flat = _flat(arrays[name], f"{where}: canary tensor {name!r}")
            row = {
                "name": name,
                "dtype": arrays[name].dtype.name,
                "shape": list(arrays[name].shape),
                "offset": offset,
                "size": flat.nbytes,
            }
            index[side].append(row)
            pieces += [flat, bytes(aligned(flat.nbytes) - flat.nbytes)]
            offset += aligned(flat.nbytes)
    content = documents.dump(index, f"{where}: {INDEX}")
    # What the reader would refuse must not be written.
    _parse_index(content, offset, where)
    return content, tuple(pieces)


def unpack(index: memoryview, tensors: memoryview, where: str) -> Canary:
    """Returns the canary as read-only arrays that view `tensors`.

    Raises:
        ArtifactError: index and block do not describe each other exactly.
    """
    inputs, outputs = _parse_index(index, tensors.nbytes, where)
    return Canary(_arrays(inputs, tensors, where), _arrays(outputs, tensors, where))


def _flat(array: Array, where: str) -> memoryview:
    dtype = DTYPES.get(array.dtype.name)
    if dtype is None:
        raise ArtifactError(f"{where}: dtype {array.dtype} is not one of {', '.join(DTYPES)}")
    raw = np.asarray(array, dtype=dtype, order="C").reshape(-1).view(np.uint8)
    repeats = PERIOD < raw.size <= _MAX_REPEATED and bool((raw[PERIOD:] == raw[:-PERIOD]).all())
    return memoryview((raw[:PERIOD] if repeats else raw).data)


def _parse_index(content: bytes | memoryview, size: int, where: str) -> tuple[list[_Row], ...]:
    """Returns the rows of both sides, which cover a block of `size` bytes exactly."""
    index = documents.parse(content, f"{where}: canary/{INDEX}")
    if not isinstance(index, dict) or set(index) != set(_SIDES):
        raise ArtifactError(f"{where}: the canary index must have exactly inputs and outputs")
    end = 0
    sides: list[list[_Row]] = []
    for side in _SIDES:
        rows = list(_rows(index[side], f"{where}: canary {side}"))
        for row in rows:
            if row.offset != end or row.size > size - end:
                raise ArtifactError(
                    f"{where}: canary tensor {row.name!r} of {row.size} bytes at byte "
                    f"{row.offset} does not fit at byte {end} of {size}"
                )
            end += aligned(row.size)
        sides.append(rows)
    if end != size:
        raise ArtifactError(f"{where}: the canary tensors end at byte {end} of {size}")
    return tuple(sides)


def _rows(rows: Any, where: str) -> Iterator[_Row]:
    if not isinstance(rows, list):
        raise ArtifactError(f"{where}: not a list of tensors")
    previous = ""
    for row in rows:
        if not isinstance(row, dict) or set(row) != _KEYS:
            raise ArtifactError(f"{where}: a tensor needs exactly {', '.join(sorted(_KEYS))}")
        parsed = _row(row, where)
        if parsed.name <= previous:
            raise ArtifactError(f"{where}: tensor {parsed.name!r} comes twice or out of order")
        previous = parsed.name
        yield parsed


def _row(row: Mapping[str, Any], where: str) -> _Row:
    name, dtype, shape = row["name"], row["dtype"], row["shape"]
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_TEXT:
        raise ArtifactError(f"{where}: a tensor name must be a text of 1 to {MAX_TEXT} characters")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ArtifactError(f"{where}: tensor {name!r} has the unknown dtype {dtype!r:.40}")
    if not isinstance(shape, list) or len(shape) > MAX_RANK or not all(map(_is_count, shape)):
        raise ArtifactError(f"{where}: tensor {name!r} has the impossible shape {shape!r:.80}")
    if prod(max(axis, 1) for axis in shape) > _MAX_ELEMENTS:
        raise ArtifactError(f"{where}: tensor {name!r} of shape {shape} is too large")
    size = prod(shape) * DTYPES[dtype].itemsize
    sizes = (size, PERIOD) if PERIOD < size <= _MAX_REPEATED else (size,)
    if not _is_count(row["offset"]) or not _is_count(row["size"]) or row["size"] not in sizes:
        raise ArtifactError(
            f"{where}: tensor {name!r} of shape {shape} and dtype {dtype} takes {size} bytes, not "
            f"{row['size']!r:.40}"
        )
    return _Row(name, dtype, tuple(shape), row["offset"], row["size"])


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _arrays(rows: list[_Row], tensors: memoryview, where: str) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for row in rows:
        end = row.offset + row.size
        if any(tensors[end : aligned(end)]):
            raise ArtifactError(f"{where}: the padding of canary tensor {row.name!r} is not zero")
        raw = np.frombuffer(tensors[row.offset : end], np.uint8) if row.size else np.empty(0, "u1")
        if row.dtype == "bool" and raw.size and raw.max() > 1:
            raise ArtifactError(
                f"{where}: canary tensor {row.name!r} has a bool that is not 0 or 1"
            )
        flat = raw.view(DTYPES[row.dtype])
        arrays[row.name] = _whole(flat, row.shape)
    return arrays


def _whole(flat: Array, shape: tuple[int, ...]) -> Array:
    """Returns a view in the given shape, or a read-only repetition of what is stored."""
    if flat.size == prod(shape):
        return flat.reshape(shape)
    repeated = np.resize(flat, shape)
    repeated.flags.writeable = False
    return repeated
