"""What a user can get wrong: each has its own sentence and the exit code of its class."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

CommandLine = Any

# What is wrong: the arguments ({specs} and {out} are folders), the exit code, and words of the
# message.
CASES = {
    "a missing file": ("{specs}/nowhere.py", 3, "nowhere.py: no such file"),
    "a spec without model()": ("{specs}/bad/no_model.py", 3, "no function model(); a spec needs"),
    "a spec that cannot be run": ("{specs}/bad/not_python.py", 3, "No module named 'a_module_that"),
    "a spec whose function fails": (
        "{specs}/bad/failing.py",
        3,
        "calibration() failed: FileNotFoundError",
    ),
    "data-dependent control flow": (
        "{specs}/bad/branching.py",
        4,
        "the control flow depends on the values of a tensor",
    ),
    "an empty calibration set": ("{specs}/bad/no_data.py", 5, "calibration() gave no batch"),
    "NaN in a weight": ("{specs}/bad/nan_weights.py", 4, "parameter 2.weight holds 1 values"),
    "NaN in an input": ("{specs}/bad/nan_inputs.py", 5, "of batch 1 holds nan at [2, 3]"),
    "NaN in an activation": ("{specs}/bad/nan_activations.py", 5, "second"),
    "infinity in held-out data": ("{specs}/bad/nan_evaluation.py", 5, "holds inf at [0, 0]"),
    "an unknown metric": (
        "{specs}/bad/unknown_metric.py",
        3,
        "unknown metric 'beauty'; use one of agreement",
    ),
    "an unknown target": ("{specs}/tiny.py --target abacus", 3, "unknown target 'abacus'"),
    "an unknown recipe": ("{specs}/tiny.py --recipe soup", 6, "no plan or recipe 'soup'"),
    "an unknown format": (
        "{specs}/tiny.py --recipe {specs}/recipes/unknown_format.yaml",
        6,
        "'w4q7'",
    ),
    "an unknown key": (
        "{specs}/tiny.py --recipe {specs}/recipes/no_such_key.yaml",
        6,
        "rules[0].bits: unknown key",
    ),
    "a rule that names no layer": (
        "{specs}/tiny.py --recipe {specs}/recipes/no_such_layer.yaml",
        6,
        "names no layer; did you mean 'hidden'?",
    ),
    "a size in no known unit": ("{specs}/tiny.py --max-size 3bananas", 6, "size '3bananas'"),
    "a size below every plan": ("{specs}/tiny.py --max-size 1kB", 6, "1,000"),
    "a folder without --text": ("{specs}", 3, "add --text FILE"),
    "a text that is missing": ("{specs} --text nowhere.txt", 3, "nowhere.txt: no such text"),
    "an output folder below a file": ("{specs}/tiny.py -o {specs}/tiny.py/out", 11, "cannot make"),
}


@pytest.mark.parametrize("case", CASES)
def test_optimize_refuses(lamella: CommandLine, specs: Path, tmp_path: Path, case: str) -> None:
    line, code, words = CASES[case]
    arguments = line.format(specs=specs).split()
    if "-o" not in arguments:
        arguments += ["-o", str(tmp_path / "out")]
    done = lamella("optimize", *arguments)
    assert words in " ".join(done.err.split())
    assert done.code == code
    assert "Traceback" not in done.err


def test_a_budget_that_cannot_be_met_names_the_smallest_size_that_can(
    lamella: CommandLine, specs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    quick = ("-o", out, "--points", 0, "--rounds", 2)
    done = lamella("optimize", specs / "tiny.py", "--max-size", "8kB", *quick)
    assert done.code == 6
    words = done.err.split("the smallest plan gives a file of ")[1]
    smallest = int(words.split()[0].replace(",", ""))
    assert smallest > 8_000
    again = lamella("optimize", specs / "tiny.py", "--max-size", smallest, *quick)
    assert again.code == 0, again.err
    assert (out / "model.lamella").stat().st_size <= smallest


def test_a_drop_that_cannot_be_met_names_the_least_that_can(
    lamella: CommandLine, specs: Path, tmp_path: Path
) -> None:
    arguments = ("--max-drop", "1e-9", "-o", tmp_path / "out")
    done = lamella("optimize", specs / "tiny.py", *arguments)
    assert done.code == 6
    assert "even the most careful plan has a relative of" in done.err


@pytest.mark.parametrize("verb", ["inspect", "verify", "bench", "run", "generate"])
def test_a_truncated_artifact_is_refused_by_every_verb(
    lamella: CommandLine, finished: Path, tmp_path: Path, verb: str
) -> None:
    whole = (finished / "model.lamella").read_bytes()
    broken = tmp_path / "broken.lamella"
    broken.write_bytes(whole[: len(whole) // 2])
    extra = {"run": ("--inputs", "x.npz", "-o", "y.npz"), "generate": ("Hello",)}
    done = lamella(verb, broken, *extra.get(verb, ()))
    assert done.code == 9
    assert done.err.startswith("ArtifactError: ")
    assert str(broken) in done.err


def test_a_model_without_tokens_cannot_generate(lamella: CommandLine, finished: Path) -> None:
    done = lamella("generate", finished / "model.lamella", "Hello")
    assert done.code == 9
    assert "holds no tokenizer.json" in done.err


@pytest.mark.parametrize("limit", [600, 3_000, 20_000])
def test_a_full_disk_is_said_so_and_leaves_no_half_written_file(
    lamella: CommandLine, specs: Path, tmp_path: Path, limit: int
) -> None:
    out = tmp_path / "out"
    arguments = ("optimize", specs / "tiny.py", "-o", out, "--points", 0, "--rounds", 2)
    done = lamella(*arguments, file_bytes=limit)
    assert done.code == 11
    assert "StorageError: cannot write" in done.err
    assert "File too large" in done.err
    left = [path.name for path in out.rglob("*") if path.name.startswith((".model", ".plan"))]
    assert left == []
    for name in ("model.onnx", "model.lamella", "plan.yaml", "report.json"):
        assert not (out / name).exists() or limit == 20_000
    again = lamella(*arguments)
    assert again.code == 0, again.err


def test_wrong_usage_has_a_code_of_its_own(lamella: CommandLine, tmp_path: Path) -> None:
    assert lamella("optimise", "x").code == 2
    assert lamella("optimize", "x.py", "--max-drop", "-1", "-o", tmp_path).code == 2
    no_sensitivity = lamella("plan", "x.py", "--max-size", "3MB")
    assert no_sensitivity.code == 2
    assert "--sensitivity" in no_sensitivity.err


def test_a_copy_of_a_finished_folder_can_be_moved_and_still_verifies(
    lamella: CommandLine, finished: Path, tmp_path: Path
) -> None:
    moved = shutil.copy(finished / "model.lamella", tmp_path / "elsewhere.lamella")
    assert lamella("verify", moved).code == 0
