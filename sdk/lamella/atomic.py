"""Atomic files: a reader sees the old bytes or the new ones, never a part."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from lamella.errors import StorageError

Bytes = bytes | memoryview


def write(path: Path, content: Bytes | Iterable[Bytes], *, mode: int = 0o666) -> None:
    """Writes through a temporary file beside `path`, synced to disk before it takes the name.

    Args:
        path: what the file is called; its folder must exist.
        content: the bytes, or pieces of them in order, so that a large file needs no second copy.
        mode: who may read and write the file, as far as the umask of the user allows.

    Raises:
        StorageError: the folder is missing or not writable, or the disk is full; `path` and what
            stood there before are untouched.
    """
    pieces = (content,) if isinstance(content, bytes | memoryview) else content
    draft = path.parent / f".{path.name}.{secrets.token_hex(4)}"
    try:
        # Unlike a tempfile, which only its owner may read, this follows the umask of the user.
        with open(draft, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
