"""A folder of statistics, each under the hash of everything that determines it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from lamella.calibration.stats import VERSION, Source, Statistics
from lamella.errors import CalibrationError, StorageError
from lamella.frontend.layers import Layer


def key(source: Source, layers: tuple[Layer, ...]) -> str:
    """Returns the name of an entry: a hash of weights, data, needs, seed, layers and version."""
    parts = [VERSION, source.weights, source.data, source.needs, source.seed]
    text = json.dumps([*parts, [layer.row() for layer in layers]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def load(folder: Path, entry: str) -> Statistics | None:
    """Returns an entry, or None where there is none or its file is damaged."""
    try:
        return Statistics.load(_path(folder, entry))
    except CalibrationError:
        return None


def store(folder: Path, entry: str, stats: Statistics) -> Statistics:
    """Writes an entry, in place of what stood there.

    Returns:
        The same statistics, which stay in the file and not in memory.

    Raises:
        StorageError: the folder cannot be made or the file not be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the cache folder {folder}: {error}") from error
    stats.save(_path(folder, entry))
    return Statistics.load(_path(folder, entry))


def _path(folder: Path, entry: str) -> Path:
    return folder / f"{entry}.safetensors"
