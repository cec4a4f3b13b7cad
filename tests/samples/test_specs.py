"""What all samples have in common: short, complete, licensed, with data apart from each other."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

from lamella.benchmark.fidelity import METRICS

FOLDER = Path(__file__).resolve().parents[2] / "samples"
SPECS = sorted(path for path in FOLDER.glob("*/*.py"))
NAMES = ("efficientnet", "digits", "minilm", "smollm2")


def tensors(batch: Any) -> list[torch.Tensor]:
    return list(batch.values()) if isinstance(batch, dict) else [batch]


def row_hashes(batches: list[Any]) -> list[str]:
    """Returns a hash of every row of the first input: an image, a sentence, a window."""
    rows = [row for batch in batches for row in tensors(batch)[0]]
    return [hashlib.sha256(row.contiguous().numpy().tobytes()).hexdigest() for row in rows]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_sample_is_shorter_than_120_lines_and_says_how_to_run_it(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 120
    assert f"lamella optimize samples/{path.relative_to(FOLDER)}" in text
    assert "arXiv" in text or "19" in text, "the source of the method or the data"


def test_every_sample_is_tested() -> None:
    assert len(SPECS) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_a_complete_spec(name: str, request: pytest.FixtureRequest) -> None:
    spec = request.getfixturevalue(name)
    for function in ("model", "example_inputs", "calibration", "evaluation"):
        assert callable(getattr(spec, function))
    assert spec.METRIC in METRICS
    assert spec.LICENCE == "Apache-2.0"
    assert spec.NAME


@pytest.mark.parametrize(
    ("name", "calibration", "evaluation"),
    [("efficientnet", 160, 300), ("digits", 600, 597), ("minilm", 256, 500), ("smollm2", 64, 48)],
)
def test_no_row_is_in_both_calibration_and_evaluation(
    name: str, calibration: int, evaluation: int, request: pytest.FixtureRequest
) -> None:
    spec = request.getfixturevalue(name)
    first, second = row_hashes(spec.calibration()), row_hashes(spec.evaluation())
    assert (len(first), len(second)) == (calibration, evaluation)
    assert len(set(first)) > 0.95 * calibration
    assert set(first).isdisjoint(second)


@pytest.mark.parametrize("name", ["efficientnet", "minilm", "smollm2"])
def test_data_are_the_same_every_time(name: str, request: pytest.FixtureRequest) -> None:
    spec = request.getfixturevalue(name)
    assert row_hashes(spec.calibration()) == row_hashes(spec.calibration())
