"""Mirrors sdk/lamella/artifact/writer.py."""

from __future__ import annotations

import errno
import os
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamella.artifact import Canary, Contents, read, save
from lamella.errors import ArtifactError, StorageError


def reversed_mapping(mapping: Any) -> dict[str, Any]:
    return dict(reversed(mapping.items()))


def test_equal_contents_give_equal_bytes(tmp_path: Path, contents: Contents) -> None:
    other = Contents(
        reversed_mapping(contents.manifest),
        reversed_mapping(contents.program),
        reversed_mapping(contents.attachments),
        Canary(reversed_mapping(contents.canary.inputs), contents.canary.outputs),
    )
    save(tmp_path / "a", contents)
    save(tmp_path / "b", other)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_was_read_can_be_written_again(tmp_path: Path, path: Path) -> None:
    save(tmp_path / "again", read(path))
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_an_artifact_may_replace_itself_while_mapped(path: Path) -> None:
    before = path.read_bytes()
    mapped = read(path)
    save(path, replace(mapped, attachments={}))
    assert read(path).attachments == {}
    save(path, mapped)
    assert path.read_bytes() == before


def test_every_user_that_the_umask_allows_may_read_the_file(path: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_large_program_is_not_copied(tmp_path: Path, contents: Contents) -> None:
    program = bytes(32 << 20)
    tracemalloc.start()
    save(tmp_path / "big", replace(contents, program={"model.onnx": program}))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(
    path: Path, contents: Contents, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    before = path.read_bytes()

    def refuse(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(StorageError, match=r"cannot write .*toy\.lamella: No space left"):
        save(path, replace(contents, attachments={}))
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["toy.lamella"]


def test_a_file_size_limit_leaves_the_old_file(path: Path, contents: Contents) -> None:
    # The kernel itself refuses the write here, part way through the program.
    import resource
    import signal

    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"cannot write .*toy\.lamella: File too large"):
            save(path, replace(contents, program={"model.onnx": bytes(2 << 20)}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["toy.lamella"]


def test_a_missing_folder_is_a_sentence(tmp_path: Path, contents: Contents) -> None:
    with pytest.raises(StorageError, match=r"cannot write .*No such file or directory"):
        save(tmp_path / "nowhere" / "toy.lamella", contents)


def test_a_folder_in_the_way_is_a_sentence(tmp_path: Path, contents: Contents) -> None:
    with pytest.raises(StorageError, match=r"cannot write .*Is a directory"):
        save(tmp_path, contents)


Change = Callable[[Contents], Contents]


def with_manifest(**keys: Any) -> Change:
    return lambda contents: replace(contents, manifest={**contents.manifest, **keys})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_manifest(extra=float("nan")), "not expressible as JSON"),
        (with_manifest(extra=np.float32(1)), "not expressible as JSON"),
        (with_manifest(extra={1: "x"}), "the key 1 is not text"),
        (with_manifest(extra="\ud800"), "not expressible as JSON"),
        (with_manifest(extra=1 << 63), "does not fit 64 bits"),
        (with_manifest(layers="all"), "'layers' must be a list"),
        (with_manifest(target=None), "'target' must be a text"),
        (with_manifest(canary={}), "max_abs_error"),
        (with_manifest(outputs=[]), "'outputs' is empty"),
        (lambda c: replace(c, program={}), "no program to pack"),
        (lambda c: replace(c, program={"../x": b""}), "not a plain file name"),
        (lambda c: replace(c, attachments={"a" * 73: b""}), "longer than 72 bytes"),
        (
            lambda c: replace(c, attachments={f"a{i}": b"" for i in range(1024)}),
            "at most 1024",
        ),
        (
            lambda c: replace(c, canary=replace(c.canary, inputs={})),
            "canary inputs are none, but the manifest says flag, x",
        ),
        (
            lambda c: replace(c, canary=replace(c.canary, outputs={"y": np.zeros(1)})),
            "'y' is float64 of rank 1, but the manifest says float16 of rank 2",
        ),
    ],
)
def test_what_a_reader_would_refuse_is_not_written(
    tmp_path: Path, contents: Contents, change: Change, words: str
) -> None:
    path = tmp_path / "toy.lamella"
    with pytest.raises(ArtifactError, match=words):
        save(path, change(contents))
    assert not path.exists()
