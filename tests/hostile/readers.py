"""Both readers of the format, in Python and in C++: what one refuses, the other must refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from lamella import _native
from lamella.artifact import read
from lamella.errors import ArtifactError


def refuse(path: Path, raw: bytes | bytearray, words: str | None = None) -> str:
    """Checks that both readers refuse a file with these words; returns what Python says."""
    path.write_bytes(raw)
    with pytest.raises(ArtifactError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value)
    with pytest.raises(ValueError, match=words) as native:
        _native.ArtifactFile(bytes(raw))
    assert str(native.value)
    return str(caught.value)


def agree(path: Path, raw: bytes | bytearray) -> bool:
    """Checks that both readers take a file or both refuse it; returns whether they take it."""
    path.write_bytes(raw)
    for verify in (False, True):
        taken = _python_takes(path, verify)
        assert taken == _native_takes(bytes(raw), verify), (taken, verify)
    return taken


def _python_takes(path: Path, verify: bool) -> bool:
    try:
        read(path, verify=verify)
    except ArtifactError:
        return False
    return True


def _native_takes(raw: bytes, verify: bool) -> bool:
    try:
        _native.ArtifactFile(raw, structure=not verify)
    except ValueError:
        return False
    return True
