"""A run that is killed and run again ends with the bytes of an undisturbed one."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CommandLine = Any
Running = Callable[[], bool]

RESULTS = ("model.onnx", "model.lamella", "plan.yaml")

# What a run has left behind at each moment; a pattern below the output folder and a count.
MOMENTS = {
    "after calibration": (".work/statistics/*.safetensors", 1),
    "in the middle of the sensitivities": (".work/sense.jsonl", 1),
    "when some layers are solved": (".work/layers/*.safetensors", 3),
    "after the first trial": (".work/trials.json", 1),
    "when the plan is written": ("plan.yaml", 1),
    "when the program is written": ("model.onnx", 1),
}


def left_behind(out: Path, pattern: str, count: int) -> Callable[[Running], bool]:
    """Returns a wait for files; false if the run was over before they came."""

    def moment(running: Running) -> bool:
        while running():
            if len(list(out.glob(pattern))) >= count:
                return True
            time.sleep(0.001)
        return False

    return moment


def lines_said(folder: Path, count: int, more_seconds: float) -> Callable[[Running], bool]:
    """Returns a wait for lines on stderr, and for a little longer."""

    def moment(running: Running) -> bool:
        while running():
            if (folder / "stderr").read_text().count("\n") >= count:
                time.sleep(more_seconds)
                return running()
            time.sleep(0.001)
        return False

    return moment


def arguments(specs: Path, out: Path) -> tuple[object, ...]:
    return ("optimize", specs / "tiny.py", "--max-drop", 0.02, "-o", out, "--rounds", 5)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_killed_at_a_boundary_of_its_stages_ends_with_the_same_bytes(
    lamella: CommandLine, specs: Path, finished: Path, tmp_path: Path, moment: str
) -> None:
    out = tmp_path / "out"
    killed = lamella.until(left_behind(out, *MOMENTS[moment]), *arguments(specs, out))
    assert killed.code == -9
    assert not (out / "report.json").exists()
    again = lamella(*arguments(specs, out))
    assert again.code == 0, again.err
    for name in RESULTS:
        assert (out / name).read_bytes() == (finished / name).read_bytes(), name


def test_a_run_killed_again_and_again_ends_with_the_same_bytes(
    lamella: CommandLine, specs: Path, finished: Path, tmp_path: Path
) -> None:
    out, rng = tmp_path / "out", random.Random(0)
    for _ in range(5):
        moment = lines_said(lamella.folder, rng.randrange(1, 15), rng.uniform(0.0, 0.2))
        assert lamella.until(moment, *arguments(specs, out)).code == -9
    again = lamella(*arguments(specs, out))
    assert again.code == 0, again.err
    for name in RESULTS:
        assert (out / name).read_bytes() == (finished / name).read_bytes(), name


def test_what_was_measured_is_not_measured_again(
    lamella: CommandLine, specs: Path, finished: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(finished, tmp_path / "out"))
    kept = [out / ".work" / "trials.json", *(out / ".work" / "layers").iterdir()]
    kept += (out / ".work" / "statistics").iterdir()
    before = {path: path.stat().st_mtime_ns for path in kept}
    assert lamella(*arguments(specs, out)).code == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == before


def test_a_changed_spec_does_not_reuse_old_results(
    lamella: CommandLine, specs: Path, finished: Path, tmp_path: Path
) -> None:
    spec, out, fresh = tmp_path / "tiny.py", tmp_path / "out", tmp_path / "fresh"
    spec.write_text(
        (specs / "tiny.py").read_text().replace("images(80, seed=2)", "images(80, seed=3)")
    )
    shutil.copytree(finished, out)
    for folder in (out, fresh):
        done = lamella("optimize", spec, "--max-drop", 0.02, "-o", folder, "--rounds", 2)
        assert done.code == 0, done.err
    for name in RESULTS:
        assert (out / name).read_bytes() == (fresh / name).read_bytes(), name
    assert (out / "plan.yaml").read_bytes() != (finished / "plan.yaml").read_bytes()
