"""A journal of finished measurements: one JSON line each, so that a killed run can go on."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TextIO

from lamella import atomic
from lamella.calibration.sensitivity import SensitivityRow
from lamella.errors import StorageError


class Journal:
    """Appends rows to a file, and knows those that an earlier run left there.

    The first line names the job; a file of another job is started anew. A last line that a kill
    cut short is dropped. `path` None keeps no file.
    """

    def __init__(self, path: Path | str | None, job: str) -> None:
        self._path = None if path is None else Path(path)
        self._head = json.dumps({"job": job})
        self._file: TextIO | None = None
        self.rows: dict[tuple[str, str], SensitivityRow] = {}

    def __enter__(self) -> Journal:
        if self._path is None:
            return self
        for row in self._read(self._path):
            self.rows[row.layer, row.format] = row
        lines = [self._head, *(json.dumps(asdict(row)) for row in self.rows.values())]
        atomic.write(self._path, "".join(f"{line}\n" for line in lines).encode())
        self._file = self._path.open("a")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def append(self, row: SensitivityRow) -> None:
        """Adds one row; it outlives the process from here on.

        Raises:
            StorageError: the file cannot be written, for example because the disk is full.
        """
        self.rows[row.layer, row.format] = row
        if self._file is None:
            return
        try:
            self._file.write(json.dumps(asdict(row)) + "\n")
            self._file.flush()
        except OSError as error:
            raise StorageError(f"cannot write the journal {self._path}: {error}") from error

    def _read(self, path: Path) -> list[SensitivityRow]:
        """Returns the rows of this job up to the first line that cannot be read."""
        if not path.exists():
            return []
        head, *lines = path.read_text(errors="replace").split("\n")
        rows: list[SensitivityRow] = []
        if head != self._head:
            return rows
        # What follows the last line break was cut short, even where it happens to be readable.
        for line in lines[:-1]:
            try:
                rows.append(SensitivityRow(**json.loads(line)))
            except (ValueError, TypeError):
                break
        return rows
