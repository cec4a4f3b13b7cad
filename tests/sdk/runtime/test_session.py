"""Mirrors sdk/lamella/runtime/session.py, with runners written in Python."""

from __future__ import annotations

import mmap
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import psutil
import pytest

from lamella import runtime
from lamella.artifact import Contents, save
from lamella.errors import ArtifactError, DeviceError, InputError
from lamella.runtime import session as module
from lamella.runtime.session import Session

Double = tuple[Path, Contents]


class Multiplier:
    """Multiplies by the number that the program file holds, plus an error."""

    def __init__(self, files: Any, threads: int, error: float = 0.0) -> None:
        self.factor = float(bytes(files["model.onnx"]))
        self.threads = threads
        self.error = error

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        return {"y": (feeds["x"] * self.factor + self.error).astype(np.float32)}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    fake = ModuleType("lamella_fake_runner")
    fake.open_program = Multiplier  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    monkeypatch.setitem(module.RUNNERS, "onnx", fake.__name__)
    return fake


@pytest.fixture
def session(double: Double, fake: ModuleType) -> Session:
    return runtime.load(double[0])


X = np.array([[1, 2, 3]], np.float32)


def test_it_runs_by_dict_and_by_keyword(session: Session) -> None:
    np.testing.assert_array_equal(session.run({"x": X})["y"], 2 * X)
    np.testing.assert_array_equal(session.run(x=X)["y"], 2 * X)


@pytest.mark.parametrize(
    ("feeds", "words"),
    [
        ({}, "cannot run without x; its inputs are x"),
        ({"z": X}, "cannot run without x"),
        ({"x": X, "z": X}, "cannot run with z; its inputs are x"),
        ({"x": [[1.0, 2.0, 3.0]]}, "input 'x' is a list, not a numpy array"),
        ({"x": X.astype(np.float64)}, r"is float64, .* takes float32; .*\.astype\('float32'\)"),
        ({"x": X[0]}, r"shape \(3,\), the program takes \(n, 3\)"),
        ({"x": X[:, :2]}, r"shape \(1, 2\), the program takes \(n, 3\)"),
    ],
)
def test_a_wrong_input_is_a_sentence(session: Session, feeds: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        session.run(feeds)


def test_the_layer_table_is_a_copy_of_the_manifest(session: Session) -> None:
    assert session.layers == ({"id": "fc", "format": "w8", "nbytes": 9},)
    session.layers[0]["nbytes"] = 0
    assert session.layers[0]["nbytes"] == 9


def test_threads_reach_the_runner(double: Double, fake: ModuleType) -> None:
    seen: list[int] = []

    def open_program(files: Any, threads: int) -> Multiplier:
        seen.append(threads)
        return Multiplier(files, threads)

    fake.open_program = open_program  # type: ignore[attr-defined]
    runtime.load(double[0])
    runtime.load(double[0], threads=3)
    assert seen == [0, 3]
    with pytest.raises(InputError, match=r"threads must be 0 .*, not -1"):
        runtime.load(double[0], threads=-1)


def test_memory_counts_file_program_and_process(session: Session, double: Double) -> None:
    before = session.memory()
    assert before.file_bytes == double[0].stat().st_size
    assert before.program_bytes == 1
    assert before.rss_bytes == pytest.approx(psutil.Process().memory_info().rss, rel=0.05)
    # Fresh pages from the kernel; an array might reuse what the process already holds.
    with mmap.mmap(-1, 64 << 20) as ballast:
        ballast.write(b"x" * len(ballast))
        after = session.memory()
    assert after.rss_bytes - before.rss_bytes >= 32 << 20
    assert after.peak_rss_bytes >= after.rss_bytes


def test_memory_works_without_proc(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    known = session.memory()
    for status in (Path("/nonexistent"), Path("/dev/null")):
        monkeypatch.setattr(module, "_STATUS", status)
        other = session.memory()
        assert other.rss_bytes == pytest.approx(known.rss_bytes, rel=0.1)
        assert other.peak_rss_bytes >= 0.9 * known.peak_rss_bytes


def test_the_canary_passes_within_the_tolerance(double: Double, fake: ModuleType) -> None:
    fake.open_program = lambda files, threads: Multiplier(files, threads, 0.125)  # type: ignore[attr-defined]
    verdict = runtime.load(double[0]).verify()
    assert verdict.ok
    assert verdict.max_abs_error == pytest.approx(0.125)
    assert verdict.bound == 0.25


def test_the_canary_fails_beyond_the_tolerance(double: Double, fake: ModuleType) -> None:
    fake.open_program = lambda files, threads: Multiplier(files, threads, 0.5)  # type: ignore[attr-defined]
    session = runtime.load(double[0])
    with pytest.raises(DeviceError, match=r"largest error is 0\.5 in output 'y'.*allowed .* 0\.25"):
        session.verify()
    assert not session.verify(strict=False).ok


def test_a_closed_session_says_so(double: Double, fake: ModuleType) -> None:
    with runtime.load(double[0]) as session:
        session.run(x=X)
    with pytest.raises(DeviceError, match=r"double\.lamella is closed"):
        session.run(x=X)


@pytest.mark.parametrize("target", ["os", "numpy", "../onnx"])
def test_an_unknown_target_imports_nothing(double: Double, target: str) -> None:
    path, contents = double
    save(path, replace(contents, manifest={**contents.manifest, "target": target}))
    with pytest.raises(
        DeviceError, match=f"the target '{target}'; this lamella runs onnx, native, tvm"
    ):
        runtime.load(path)


def test_a_missing_runtime_is_a_sentence(double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.RUNNERS, "onnx", "lamella_runtime_that_is_not_installed")
    with pytest.raises(DeviceError, match="needs the runtime of target 'onnx': No module named"):
        runtime.load(double[0])


def test_damage_is_found_before_the_program_is_opened(double: Double, fake: ModuleType) -> None:
    path, _ = double
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    fake.open_program = pytest.fail  # type: ignore[attr-defined]
    with pytest.raises(ArtifactError):
        runtime.load(path)


def test_the_runtime_needs_no_torch() -> None:
    script = (
        "import sys, lamella.runtime, lamella.runtime.generate\n"
        "heavy = {'torch', 'scipy', 'onnx', 'onnxruntime', 'tvm', 'tokenizers', 'psutil'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
