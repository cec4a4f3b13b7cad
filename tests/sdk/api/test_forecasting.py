"""Mirrors sdk/lamella/api/forecasting.py: what a job asks for, in units of its example inputs."""

from __future__ import annotations

from typing import Any

import pytest

from lamella.api import forecasting
from lamella.api.deliver import thread_counts
from lamella.api.forecasting import SEARCH_TRIALS, forecast_job
from lamella.api.job import Job
from lamella.api.options import candidate_formats
from lamella.planner.forecast import Workload
from lamella.planner.machine import Machine
from lamella.planner.spec import Budget, Plan
from lamella.targets.onnx.lower import OnnxTarget


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Workload]:
    loads: list[Workload] = []
    real = forecasting.forecasts.forecast

    def spy(model: Any, budget: Budget, load: Workload, machine: Machine) -> Any:
        loads.append(load)
        # The machine is measured on a calibration batch: 4 images, where the example has 2.
        assert machine.scale == 2
        return real(model, budget, load, machine)

    monkeypatch.setattr(forecasting.forecasts, "forecast", spy)
    return loads


def test_batches_are_counted_in_units_of_the_example(job: Job, asked: list[Workload]) -> None:
    options = candidate_formats(job.model, Plan.load("balanced"), OnnxTarget())
    found = forecast_job(job, Budget(size=2_000), options, rounds=5)
    (load,) = asked
    # The example has 2 images, a calibration batch 4, an evaluation batch 3.
    assert load.rounds == 5 * len(thread_counts())
    assert (load.calibration_batches, load.sense_batches) == (4, 2)
    assert load.evaluation_batches == 3
    assert load.row == 0.5
    assert load.evaluations == 8 + 1
    assert {layer: tuple(formats) for layer, formats in load.by_layer.items()} == options
    assert found.size_bytes == 2_000
    assert found.peak_rss_bytes >= found.resident_bytes > 0


def test_a_search_for_a_drop_measures_more_plans(job: Job, asked: list[Workload]) -> None:
    options = candidate_formats(job.model, Plan.load("balanced"), OnnxTarget())
    forecast_job(job, Budget(max_drop=0.1), options, points=3)
    assert asked[0].evaluations == 3 + SEARCH_TRIALS


def test_there_are_no_more_plans_than_choices(job: Job, asked: list[Workload]) -> None:
    options = candidate_formats(job.model, Plan.load("w8"), OnnxTarget())
    forecast_job(job, Budget(max_drop=0.1), options, points=3)
    assert asked[0].evaluations == 1 + 1
