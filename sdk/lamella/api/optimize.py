"""The whole way in one call: trace, calibrate, sense, plan, compress, lower, pack, measure.

Every stage leaves its result in the folder `.work` below the output folder, under a name made
from what it depends on. A run that was killed goes on from there and ends with the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from lamella import memory
from lamella.api import deliver
from lamella.api.fitting import ARTIFACT, Packed, fitted, publish
from lamella.api.forecasting import forecast_job
from lamella.api.job import load_job
from lamella.api.options import candidate_formats
from lamella.api.predict import feeds, from_module
from lamella.api.run import Request, Run
from lamella.api.trials import LAYERS, Trials, open_trials
from lamella.benchmark import measure
from lamella.benchmark.report import Report
from lamella.calibration.calibrate import calibrate
from lamella.calibration.sense import sense
from lamella.calibration.sensitivity import Sensitivity
from lamella.compression.encoder import encoder
from lamella.compression.transform.batch_norm import fold_batch_norm
from lamella.errors import StorageError
from lamella.planner.forecast import Forecast
from lamella.planner.pareto import pareto
from lamella.planner.spec import Plan
from lamella.runtime.session import load
from lamella.targets.registry import get

BASELINE = "float.lamella"


def optimize(request: Request, *, tell: Callable[[str], None] = lambda line: None) -> Report:
    """Makes a model thin and proves it.

    Writes model.lamella, the program's own files (for onnx: model.onnx), plan.yaml, report.html
    and report.json into `request.out`.

    Args:
        request: what to do.
        tell: gets a line when a stage starts and ends.

    Raises:
        LamellaError: of the class of the stage that failed; finished stages are kept.
    """
    run = start(request, tell)
    with run.stage("forecast"):
        forecast = forecast_job(
            run.job,
            request.budget,
            run.options,
            points=request.points,
            rounds=request.rounds,
        )
    with run.stage("calibrate"):
        stats = calibrate(run.model, run.job.calibration, cache=run.work / "statistics")
    with run.stage("sense"):
        journal, layers = run.work / "sense.jsonl", run.work / LAYERS
        encode = encoder(run.model, run.recipe.settings, stats, layers)
        sensitivity = sense(
            run.model, stats, run.options, run.job.sensing, encode=encode, journal=journal
        )
    with run.stage("plan", "float model"):
        trials = open_trials(run.job, run.model, stats, run.work)
    packed = fitted(run, sensitivity, trials)
    publish(run, packed)
    with run.stage("plan", "front"):
        front = measured_front(run, sensitivity, trials, packed)
    report = proved(run, packed, trials, front, forecast)
    report.save(request.out)
    return report


def start(request: Request, tell: Callable[[str], None]) -> Run:
    """Reads what was asked for; everything that can be refused without work is refused here."""
    target, recipe = get(request.target), Plan.load(request.recipe)
    work = workspace(request.out)
    tell("load ...")
    job = load_job(request.spec, request.text)
    job = replace(job, model=fold_batch_norm(job.model))
    options = candidate_formats(job.model, recipe, target)
    return Run(request, target, recipe, options, work, job, tell)


def workspace(out: Path) -> Path:
    """Makes the output folder and the folder of intermediate results below it.

    Raises:
        StorageError: the folder cannot be made, or a file stands there.
    """
    work = out / ".work"
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the folder {work}: {error.strerror}") from error
    return work


def measured_front(
    run: Run, sensitivity: Sensitivity, trials: Trials, packed: Packed
) -> list[dict[str, Any]]:
    """Returns the measured front as rows, smallest first.

    What the size of the chosen plan's file was estimated too low by is added to every size.
    """
    if not run.request.points:
        return []
    found = pareto(
        run.model, sensitivity, run.target, trials.drop, run.request.points, recipe=run.recipe
    )
    return [{"size_bytes": point.nbytes + packed.surplus, "drop": point.drop} for point in found]


def told(run: Run, forecast: Forecast) -> dict[str, dict[str, Any]]:
    """Returns the forecast, and what was measured of it, under the same names."""
    before = forecast.resident_bytes
    said: dict[str, Any] = {"size_bytes": forecast.size_bytes}
    found: dict[str, Any] = {}
    for stage in forecast.stages:
        said[f"{stage.name}_seconds"] = stage.seconds
        said[f"{stage.name}_rss_bytes"] = before + stage.extra_bytes
        found[f"{stage.name}_seconds"] = run.seconds.get(stage.name, 0.0)
        found[f"{stage.name}_rss_bytes"] = run.peaks.get(stage.name, before)
    for row in (said, found):
        row["seconds"] = sum(row[f"{stage.name}_seconds"] for stage in forecast.stages)
        row["resident_bytes"] = before
        row["peak_rss_bytes"] = max(row[f"{stage.name}_rss_bytes"] for stage in forecast.stages)
        row["work_rss_bytes"] = row["peak_rss_bytes"] - before
    return {"forecast": said, "measured": found}


class Simulation(NamedTuple):
    """What only the compressed model can tell: how true it is in torch, its layers, its notes."""

    fidelity: list[dict[str, Any]]
    layers: list[dict[str, Any]]
    notes: tuple[str, ...]


def simulated(run: Run, packed: Packed, trials: Trials) -> Simulation:
    """Makes the compressed model again, which the journal makes short, and measures it."""
    model = run.target.adapt(trials.compress(packed.plan))
    rows = trials.rows(from_module(model.module), "simulation against float")
    return Simulation(rows, deliver.layer_rows(packed.lowered, model, packed.plan), model.notes)


def proved(
    run: Run,
    packed: Packed,
    trials: Trials,
    front: list[dict[str, Any]],
    forecast: Forecast,
) -> Report:
    """Runs what was packed against the float model, and writes down what came out."""
    artifact, baseline = run.request.out / ARTIFACT, run.work / BASELINE
    example = feeds(run.job.evaluation[0])
    with run.stage("bench"):
        simulation = simulated(run, packed, trials)
        memory.release()
        with load(artifact) as session:
            deployed = trials.rows(deliver.predictor(session), "artifact against float")
        deliver.pack_float(run.target, run.model, example, baseline)
        latency = deliver.latency(artifact, baseline, example, run.request.rounds)
    said = told(run, forecast)
    bits = 8 * packed.size_bytes / run.model.parameters
    drop, allowed = deployed[0]["drop"], run.request.budget.max_drop
    notes = [*run.job.notes, *simulation.notes, *packed.lowered.notes]
    if allowed is not None and not drop <= allowed:
        notes.append(f"the artifact has a drop of {drop:.4g}, although {allowed:.4g} is allowed")
    size = {"size_bytes": packed.size_bytes, "average_bits": bits, "drop": drop}
    return Report(
        model=run.model.name,
        target=run.target.name,
        file=ARTIFACT,
        size_bytes=packed.size_bytes,
        baseline_bytes=baseline.stat().st_size,
        params=run.model.parameters,
        bits_per_weight=bits,
        layers=simulation.layers,
        fidelity=[*deployed, *simulation.fidelity],
        latency=latency,
        forecast=said["forecast"],
        promised=dict(packed.plan.promised),
        measured={**said["measured"], **size},
        pareto=front,
        notes=notes,
        plan=packed.plan.to_yaml().decode(),
        command=run.request.command,
        environment=measure.environment(),
    )
