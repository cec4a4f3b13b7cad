"""Other builds of native/engine/file: other processors, and the sanitizers.

A small program (probe_artifact.cc) opens files as the fuzzer's harness does: valid ones, the kept
hostile ones, and changes of valid ones with checksums made true again. It is built for arm64 and
run under qemu, and built for the host with the checks of debug builds and the sanitizers.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hostile.forge import resign, seeds
from native.probes import ARM_COMPILER, COMPILERS, SANITIZERS, build, emulator

from lamella.artifact import Canary, Contents, read, save
from lamella.errors import ArtifactError

CORPUS = Path(__file__).resolve().parents[1] / "hostile" / "corpus"
PARTS = ("engine/file", "fuzz")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("files")
    for name, content in seeds().items():
        (folder / f"seed_{name}").write_bytes(content)
        generator = np.random.default_rng(len(name))
        for turn in range(100):
            raw = bytearray(content)
            for place in generator.integers(0, len(raw), 1 + turn % 3):
                raw[place] = generator.integers(256)
            (folder / f"changed_{name}_{turn}").write_bytes(resign(raw) if turn % 4 else raw)
    port = {"name": "x", "dtype": "float32", "shape": [200, 200]}
    manifest = {
        "lamella": "0.1.0",
        "target": "native",
        "model": {"name": "toy"},
        "inputs": [port],
        "outputs": [port],
        "layers": [],
        "canary": {"max_abs_error": 0},
    }
    x = np.resize(np.arange(16, dtype=np.float32), (200, 200))
    y = np.random.default_rng(0).random((200, 200), np.float32)
    contents = Contents(manifest, {"p": bytes(100_000)}, {}, Canary({"x": x}, {"x": y}))
    save(folder / "repeats", contents)
    return [*sorted(folder.iterdir()), *sorted(CORPUS.glob("*.lamella"))]


def check(command: list[str], files: list[Path]) -> None:
    """Compares what the program says of each file with what the SDK reads."""
    done = subprocess.run([*command, *files], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    answers = done.stdout.decode().split("\0")[:-1]
    assert len(answers) == len(files)
    taken = [path for path, answer in zip(files, answers, strict=True) if answer[0] == "t"]
    assert len(taken) >= len(seeds()) + 1
    for path, answer in zip(files, answers, strict=True):
        try:
            found = read(path)
        except ArtifactError:
            assert answer.startswith(("refused: ", "damaged: ")), (path, answer)
            continue
        lines = answer.splitlines()
        assert lines[0] == "taken", (path, answer)
        held = {f"program/{name}": content for name, content in found.program.items()}
        held |= {f"attachment/{name}": content for name, content in found.attachments.items()}
        for label, content in held.items():
            assert f"section {label} {hashlib.sha256(content).hexdigest()}" in lines
        tensors = [line.rsplit(" ", 1)[1] for line in lines if line.startswith("tensor ")]
        arrays = (*found.canary.inputs.values(), *found.canary.outputs.values())
        assert tensors == [hashlib.sha256(array.tobytes()).hexdigest() for array in arrays]


@pytest.mark.arm
def test_arm64_says_the_same_under_qemu(tmp_path: Path, files: list[Path]) -> None:
    # One processor with the instructions for SHA-256, and one without.
    newest, plain = emulator("max"), emulator("a64fx")
    program = build(ARM_COMPILER, tmp_path, "probe_artifact", (), "-static", parts=PARTS)
    check([*newest, str(program)], files)
    check([*plain, str(program)], files)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_sanitizers_find_nothing(compiler: str, tmp_path: Path, files: list[Path]) -> None:
    program = build(compiler, tmp_path, "probe_artifact", (), *SANITIZERS, parts=PARTS)
    check([str(program)], files)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    program = build("g++", tmp_path, "probe_artifact", (), *SANITIZERS, parts=PARTS)
    for path, words in (
        (tmp_path / "missing", "cannot read .*missing: No such file"),
        (tmp_path, "is a folder, so it is no .lamella file"),
        (Path("/dev/null"), "is not a regular file"),
    ):
        done = subprocess.run([program, path], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert str(path) in done.stderr
        assert re.search(words, done.stderr)


def test_the_fuzzer_builds_and_runs(tmp_path: Path) -> None:
    from hostile import fuzz

    if shutil.which(fuzz.COMPILER) is None:
        pytest.skip(f"{fuzz.COMPILER} is not installed")
    program = fuzz.build(tmp_path)
    found = tmp_path / "found"  # the first folder is where the fuzzer writes
    found.mkdir()
    command = [program, "-runs=2000", *fuzz.LIMITS, found, CORPUS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "number_of_executed_units: 2000" in done.stderr
