"""The journal of a compression: one file per finished layer, so that a killed run resumes.

A file is named by the hash of everything the layer's result depends on. What is read back is
bit for bit what was written, and a file that cannot be read is as good as missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from lamella import atomic
from lamella.compression.quantize.problem import Solution
from lamella.errors import StorageError
from lamella.formats import Format
from lamella.grids import Grid, Quantized, Real

# Raised whenever a solver gives other numbers; older files are then ignored.
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """What one layer became; `shift` (rows,) is added to its bias, None where nothing is."""

    solution: Solution
    shift: Real | None


def digest(facts: Mapping[str, Any], *arrays: npt.NDArray[Any] | None) -> str:
    """Returns a name for the result that follows from these facts and arrays."""
    hasher = hashlib.sha256(json.dumps({"version": _VERSION, **facts}, sort_keys=True).encode())
    for array in arrays:
        hasher.update(b"none" if array is None else f"{array.dtype}{array.shape}".encode())
        if array is not None:
            hasher.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return hasher.hexdigest()


def read(folder: Path, name: str, format: Format) -> Entry | None:
    """Returns the entry, or None where there is none that can be read."""
    try:
        arrays = safetensors.load_file(folder / f"{name}.safetensors")
        loss = float(arrays["loss"][0])
        quantized = None
        if "codes" in arrays:
            grid = Grid(arrays["scale"], arrays["zero"])
            quantized = Quantized(format, arrays["codes"], grid, arrays.get("mask"))
    except (OSError, SafetensorError, KeyError):
        return None
    return Entry(Solution(quantized, arrays.get("values"), loss), arrays.get("shift"))


def write(folder: Path, name: str, entry: Entry) -> None:
    """Writes the entry, atomically; makes the folder if need be.

    Raises:
        StorageError: the folder cannot be made or the disk is full.
    """
    solution = entry.solution
    arrays: dict[str, npt.NDArray[Any] | None] = {"loss": np.array([solution.loss])}
    arrays |= {"values": solution.values, "shift": entry.shift}
    if solution.quantized is not None:
        found = solution.quantized
        arrays |= {"codes": found.codes, "scale": found.grid.scale, "zero": found.grid.zero}
        arrays["mask"] = found.mask
    present = {key: np.ascontiguousarray(a) for key, a in arrays.items() if a is not None}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(f"cannot make the journal folder {folder}: {reason}") from error
    atomic.write(folder / f"{name}.safetensors", safetensors.save(present))
