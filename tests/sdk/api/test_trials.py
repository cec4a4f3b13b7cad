"""Mirrors sdk/lamella/api/trials.py."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lamella.api.job import Job
from lamella.api.predict import from_module
from lamella.api.trials import Trials, open_trials
from lamella.calibration.calibrate import calibrate
from lamella.compression.compress import compress
from lamella.errors import CalibrationError
from lamella.planner.rules import resolve
from lamella.planner.spec import Plan, Rule


def plan(job: Job, format: str) -> Plan:
    return resolve(Plan(rules=(Rule(name="*", format=format),)), job.model)


def trials(job: Job, folder: Path) -> Trials:
    return open_trials(job, job.model, calibrate(job.model, job.calibration), folder)


def test_the_drop_is_that_of_the_compressed_module_on_held_out_data(
    job: Job, tmp_path: Path
) -> None:
    found = trials(job, tmp_path).drop(plan(job, "w4"))
    stats = calibrate(job.model, job.calibration)
    module = compress(job.model, plan(job, "w4"), stats).module
    with torch.inference_mode():
        truth = torch.cat([job.model.module(**batch) for batch in job.evaluation]).double()
        other = torch.cat([module(**batch) for batch in job.evaluation]).double()
    assert found == pytest.approx(float((truth - other).square().sum() / truth.square().sum()))


def test_a_trial_is_run_once_even_across_restarts(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = trials(job, tmp_path).drop(plan(job, "w4"))
    again = trials(job, tmp_path)
    monkeypatch.setattr(Trials, "compress", lambda *args: pytest.fail("compressed again"))
    assert again.drop(plan(job, "w4")) == first


@pytest.mark.parametrize("change", ["evaluation", "metric", "weights"])
def test_other_data_metrics_or_weights_are_other_trials(
    job: Job, tmp_path: Path, change: str
) -> None:
    before = trials(job, tmp_path)
    before.drop(plan(job, "w4"))
    if change == "evaluation":
        job = replace(job, evaluation=job.evaluation[:1])
    elif change == "metric":
        job = replace(job, metric="kl")
    else:
        model = replace(job.model, module=copy.deepcopy(job.model.module))
        with torch.no_grad():
            model.module.get_parameter("head.bias").add_(1.0)
        job = replace(job, model=model)
    after = trials(job, tmp_path)
    assert after.key != before.key
    assert after._known() == {}


def test_a_damaged_file_of_trials_is_as_good_as_none(job: Job, tmp_path: Path) -> None:
    first = trials(job, tmp_path).drop(plan(job, "w4"))
    (tmp_path / "trials.json").write_text('{"key": "')
    assert trials(job, tmp_path).drop(plan(job, "w4")) == first


def test_the_jobs_own_score_decides_and_the_metric_follows(job: Job, tmp_path: Path) -> None:
    calls = []

    def evaluate(predict: object) -> float:
        calls.append(predict)
        return 0.9 if len(calls) == 1 else 0.7

    scored = replace(job, evaluate=evaluate, source="spec")
    found = trials(scored, tmp_path)
    rows = found.rows(from_module(job.model.module), "itself")
    assert (rows[0]["name"], rows[0]["value"], rows[0]["spread"]) == ("score", 0.7, None)
    assert rows[0]["drop"] == pytest.approx(0.2)
    assert rows[1]["name"] == "relative"
    # The float model is scored once, when the trials are opened.
    assert len(calls) == 2
    assert (
        open_trials(replace(scored, source="other"), job.model, found.stats, tmp_path).key
        != found.key
    )


def test_held_out_data_that_are_not_finite_are_refused(job: Job, tmp_path: Path) -> None:
    broken = {"image": torch.full((1, 3, 6, 6), float("nan"))}
    with pytest.raises(CalibrationError, match="holds nan"):
        trials(replace(job, evaluation=[broken]), tmp_path)
