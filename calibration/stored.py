"""Arrays that stay in a safetensors file until someone asks for one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open

from lamella.calibration.observers import Array
from lamella.errors import CalibrationError


class StoredArrays(Mapping[str, Array]):
    """The arrays of one file by name; each access reads one and keeps nothing.

    Raises:
        CalibrationError: the file cannot be read, when this is made or at an access.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        try:
            with safe_open(path, framework="np") as file:
                self.metadata: dict[str, str] = file.metadata() or {}
                self._names = dict.fromkeys(file.keys())
        except (OSError, SafetensorError) as error:
            raise self._unreadable(error) from error

    def __getitem__(self, name: str) -> Array:
        if name not in self._names:
            raise KeyError(name)
        try:
            with safe_open(self._path, framework="np") as file:
                array: Array = file.get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise self._unreadable(error) from error
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def _unreadable(self, error: Exception) -> CalibrationError:
        return CalibrationError(f"cannot read the statistics in {self._path}: {error}")
