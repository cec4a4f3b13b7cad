"""Named arrays in .npz files, the input and output of `lamella run`."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lamella import atomic
from lamella.benchmark.fidelity import Array
from lamella.errors import InputError


def read_arrays(path: Path) -> dict[str, Array]:
    """Reads an .npz file.

    Raises:
        InputError: the file is missing, or not an .npz of plain arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (OSError, EOFError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not an .npz file of arrays: {error}") from error


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Writes an .npz file, atomically."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **dict(arrays))
    atomic.write(path, content.getvalue())
