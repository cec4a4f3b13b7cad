"""Mirrors sdk/lamella/artifact/reader.py; tests/hostile has the files that it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lamella.artifact import Contents, layout, open_manifest, read
from lamella.errors import ArtifactError


def test_everything_comes_back(path: Path, contents: Contents) -> None:
    found = read(path)
    assert found.manifest == contents.manifest
    assert dict(found.program) == dict(contents.program)
    assert dict(found.attachments) == dict(contents.attachments)
    for side in ("inputs", "outputs"):
        expected, arrays = getattr(contents.canary, side), getattr(found.canary, side)
        assert set(arrays) == set(expected)
        for name, array in arrays.items():
            assert array.dtype == expected[name].dtype
            np.testing.assert_array_equal(array, expected[name])
            assert array.shape == expected[name].shape


def test_program_and_canary_are_aligned_views_that_cannot_be_written(path: Path) -> None:
    found = read(path)
    program = found.program["model.onnx"]
    assert isinstance(program, memoryview)
    assert program.readonly
    assert np.frombuffer(program, np.uint8).ctypes.data % 64 == 0
    x = found.canary.inputs["x"]
    assert x.ctypes.data % 64 == 0
    with pytest.raises(ValueError, match="read-only"):
        x[0, 0] = 1


def test_views_outlive_the_contents(path: Path) -> None:
    program = read(path).program["model.onnx"]
    path.unlink()
    assert bytes(program) == b"program bytes"


def test_the_front_is_read_without_the_program(path: Path, contents: Contents) -> None:
    raw = bytearray(path.read_bytes())
    place = raw.index(b"program bytes")
    raw[place] ^= 1
    path.write_bytes(raw)
    opened = open_manifest(path)
    assert opened.manifest == contents.manifest
    assert opened.nbytes == len(raw)
    assert opened.root == bytes(raw[32:64])
    assert [section.label for section in opened.sections] == [
        "manifest/manifest.json",
        "program/empty.bin",
        "program/model.onnx",
        "attachment/plan.yaml",
        "attachment/tokenizer.json",
        "canary/index.json",
        "canary/tensors.bin",
    ]


def test_verify_false_skips_only_program_and_attachments(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    for section in open_manifest(path).sections:
        if not section.size:
            continue
        damaged = bytearray(raw)
        damaged[section.offset] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match=f"section {section.label} does not match"):
            read(path)
        if section.kind in (layout.Kind.PROGRAM, layout.Kind.ATTACHMENT):
            read(path, verify=False)
        else:
            with pytest.raises(ArtifactError, match=f"section {section.label} does not match"):
                read(path, verify=False)


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"cannot read .*gone\.lamella: No such file"):
        read(tmp_path / "gone.lamella")


def test_a_folder_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"is a folder, not a \.lamella file"):
        read(tmp_path)


def test_an_empty_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.lamella").touch()
    with pytest.raises(ArtifactError, match=r"empty\.lamella: the file is empty"):
        read(tmp_path / "empty.lamella")


@pytest.mark.timeout(10)
def test_a_pipe_or_a_device_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ArtifactError, match="is not a regular file"):
            read(path)


def test_a_path_that_no_file_can_have_is_a_sentence() -> None:
    with pytest.raises(ArtifactError, match="null byte"):
        read("a\0b")


def test_another_file_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\x08" + bytes(200))
    with pytest.raises(ArtifactError, match=r"model\.onnx: not a \.lamella file"):
        read(path)


def test_reading_needs_no_torch(path: Path) -> None:
    script = (
        "import sys; from lamella.artifact import read, save; from lamella import runtime\n"
        f"save({str(path)!r}, read({str(path)!r}))\n"
        "heavy = {'torch', 'scipy', 'onnx', 'onnx_ir', 'onnxruntime', 'tvm', 'rich'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
