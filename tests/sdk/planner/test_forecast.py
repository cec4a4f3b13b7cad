"""Mirrors sdk/lamella/planner/forecast.py."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from lamella import formats
from lamella.errors import PlanError
from lamella.frontend.model import Model
from lamella.planner import forecast, work
from lamella.planner.forecast import Forecast, Workload
from lamella.planner.machine import Machine
from lamella.planner.plan import uniform
from lamella.planner.spec import Budget
from lamella.targets.target import Target

MACHINE = Machine(
    single=1e11,
    double=5e10,
    elements=1e9,
    steps=1e9,
    forward_seconds=0.5,
    output_elements=1000,
    scale=2.0,
    resident_bytes=500_000_000,
)
LOAD = Workload(
    options=tuple(map(formats.parse, ("w4g32", "w8"))),
    calibration_batches=20,
    sense_batches=4,
    evaluation_batches=6,
    evaluations=10,
)
BUDGET = Budget(size=70_000)


def seconds(given: Forecast, name: str) -> float:
    (stage,) = [stage for stage in given.stages if stage.name == name]
    return stage.seconds


def extra(given: Forecast, name: str) -> int:
    (stage,) = [stage for stage in given.stages if stage.name == name]
    return stage.extra_bytes


def test_every_stage_has_a_line_and_the_totals_are_their_sum_and_peak(model: Model) -> None:
    found = forecast.forecast(model, BUDGET, LOAD, MACHINE)
    names = [stage.name for stage in found.stages]
    assert names == ["calibrate", "sense", "plan", "compress", "lower", "pack", "bench"]
    assert found.seconds == sum(stage.seconds for stage in found.stages)
    largest = max(stage.extra_bytes for stage in found.stages)
    assert found.peak_rss_bytes == 500_000_000 + largest


def test_calibration_runs_each_batch_once_in_units_of_the_probed_one(model: Model) -> None:
    found = forecast.forecast(model, BUDGET, LOAD, MACHINE)
    observed, once = work.observe(model.layers, 2.0).times(10), work.collect(model.layers)
    assert seconds(found, "calibrate") == pytest.approx((observed + once).on(MACHINE))
    assert seconds(found, "calibrate") > 10 * 0.5
    twice = replace(LOAD, calibration_batches=40)
    more = forecast.forecast(model, BUDGET, twice, MACHINE)
    added = seconds(more, "calibrate") - seconds(found, "calibrate")
    assert added == pytest.approx(observed.on(MACHINE))
    assert extra(more, "calibrate") == extra(found, "calibrate")


def test_measured_plans_cost_runs_and_find_their_layers_solved(model: Model) -> None:
    restored = work.restore(model.layers).on(MACHINE)
    ran = work.measure(1000).times(3).on(MACHINE)
    found = forecast.forecast(model, BUDGET, LOAD, MACHINE)
    # The float model is run once, to be compared with.
    assert seconds(found, "plan") == pytest.approx(ran + 10 * (restored + ran))
    assert seconds(found, "compress") == pytest.approx(restored)
    unmeasured = forecast.forecast(model, BUDGET, replace(LOAD, evaluations=0), MACHINE)
    assert seconds(unmeasured, "plan") == pytest.approx(ran)
    assert extra(unmeasured, "plan") == 0


def test_the_proof_lowers_the_float_model_and_times_both(model: Model) -> None:
    ran = work.measure(1000).times(3).on(MACHINE)
    found = forecast.forecast(model, BUDGET, LOAD, MACHINE)
    once = seconds(found, "lower") + 3 * seconds(found, "pack")
    assert seconds(found, "bench") == pytest.approx(once + 2 * ran)
    timed = forecast.forecast(model, BUDGET, replace(LOAD, rounds=30), MACHINE)
    # A run of the probed batch takes 0.5 s, a run of one example half of that.
    assert seconds(timed, "bench") - seconds(found, "bench") == pytest.approx(30 * 2 * 0.25)
    long = forecast.forecast(model, BUDGET, replace(LOAD, rounds=30, row=4.0), MACHINE)
    assert seconds(long, "bench") - seconds(found, "bench") == pytest.approx(30 * 2 * 1.0)


def test_layers_may_try_formats_of_their_own(model: Model) -> None:
    full = forecast.forecast(model, BUDGET, LOAD, MACHINE)
    fewer = replace(LOAD, by_layer={"embed": LOAD.options[:1]})
    found = forecast.forecast(model, BUDGET, fewer, MACHINE)
    once = 2 * 0.5 + work.ROUND_VALUES * 500 * 64 / 1e9 + 2 * work.COMPARE_VALUES * 1000 / 1e9
    assert seconds(full, "sense") - seconds(found, "sense") == pytest.approx(once)


def test_memory_covers_the_compressed_copy_and_grows_with_kept_outputs(model: Model) -> None:
    found = forecast.forecast(model, BUDGET, LOAD, MACHINE)
    assert extra(found, "compress") > 4 * model.parameters
    longer = replace(LOAD, sense_batches=104)
    grown = forecast.forecast(model, BUDGET, longer, MACHINE)
    recorded = 100 * 4 * sum(16 * 64 for _ in range(4))
    assert extra(grown, "sense") - extra(found, "sense") == 50 * 4 * 1000 + recorded
    assert extra(grown, "compress") == extra(found, "compress")


def test_recordings_beyond_their_limit_are_not_kept(model: Model) -> None:
    huge = replace(MACHINE, output_elements=0)
    kept = replace(LOAD, sense_batches=30_000)
    dropped = replace(LOAD, sense_batches=35_000)
    with_recordings = forecast.forecast(model, BUDGET, kept, huge)
    without = forecast.forecast(model, BUDGET, dropped, huge)
    assert extra(with_recordings, "sense") - extra(without, "sense") == 30_000 * 4 * 4 * 16 * 64


def test_the_size_is_that_of_the_plan_the_cap_or_the_median_format(
    model: Model, target: Target
) -> None:
    plan = uniform(model, "w8", target)
    assert forecast.forecast(model, plan, LOAD, MACHINE).size_bytes == plan.promised["size_bytes"]
    assert forecast.forecast(model, BUDGET, LOAD, MACHINE).size_bytes == 70_000
    sizes = [int(uniform(model, name, target).promised["size_bytes"]) for name in ("w4g32", "w8")]
    free = forecast.forecast(model, Budget(max_drop=0.1), LOAD, MACHINE)
    assert free.size_bytes == round(sum(sizes) / 2)


def test_the_table_and_the_row_hold_every_number(model: Model) -> None:
    found = forecast.forecast(model, BUDGET, LOAD, MACHINE)
    console = Console(width=120, record=True, file=StringIO())
    console.print(found.table())
    text = console.export_text()
    for stage in found.stages:
        assert f"{stage.seconds:,.1f}" in text
    assert f"{found.peak_rss_bytes / 1e6:,.0f}" in text
    row = json.loads(json.dumps(found.row()))
    assert row["peak_rss_bytes"] == found.peak_rss_bytes
    assert row["seconds"] == found.seconds
    assert row["stages"][1]["name"] == "sense"


def test_a_forecast_without_formats_is_refused() -> None:
    with pytest.raises(PlanError, match="formats that will be tried"):
        Workload(options=(), calibration_batches=1, sense_batches=1)
