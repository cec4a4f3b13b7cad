"""Mirrors sdk/lamella/atomic.py."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from lamella import atomic
from lamella.errors import StorageError


def test_writes_what_it_is_given_and_leaves_nothing_else(tmp_path: Path) -> None:
    atomic.write(tmp_path / "model.bin", b"codes")
    assert (tmp_path / "model.bin").read_bytes() == b"codes"
    assert os.listdir(tmp_path) == ["model.bin"]


def test_pieces_are_joined_in_order(tmp_path: Path) -> None:
    atomic.write(tmp_path / "model.bin", iter([b"a", memoryview(b"bc"), b""]))
    assert (tmp_path / "model.bin").read_bytes() == b"abc"


def test_an_existing_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(b"something longer")
    with path.open("rb") as reader:
        atomic.write(path, b"new")
        # Who has the file open keeps reading the old bytes.
        assert reader.read() == b"something longer"
    assert path.read_bytes() == b"new"


def test_others_may_read_the_file_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        atomic.write(tmp_path / "model.bin", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model.bin").stat().st_mode) == 0o640


def test_bytes_are_on_disk_before_they_take_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, replace = os.fsync, os.replace

    def note_sync(handle: int) -> None:
        steps.append(f"sync {os.fstat(handle).st_size}")
        sync(handle)

    def note_replace(draft: Path, path: Path) -> None:
        steps.append("replace")
        replace(draft, path)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_replace)
    atomic.write(tmp_path / "model.bin", b"codes")
    assert steps[:2] == ["sync 5", "replace"]


def test_a_full_disk_leaves_the_old_file_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "model.bin"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"cannot write .*model\.bin.*: No space left on device"):
        atomic.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.bin"]


def test_an_interruption_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"new"
        raise KeyboardInterrupt

    path = tmp_path / "model.bin"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        atomic.write(path, pieces())
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.bin"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write .*gone/model\.bin.*: No such file"):
        atomic.write(tmp_path / "gone" / "model.bin", b"")


def test_a_folder_is_never_replaced_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "model.bin").mkdir()
    with pytest.raises(StorageError, match="Is a directory"):
        atomic.write(tmp_path / "model.bin", b"")
    assert os.listdir(tmp_path) == ["model.bin"]
