"""Single stages on files, for those who want to look at, edit or repeat one of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.table import Table

from lamella.api import deliver
from lamella.api.forecasting import forecast_job
from lamella.api.job import Job, load_job, traced
from lamella.api.options import candidate_formats
from lamella.api.predict import feeds
from lamella.calibration.sense import sense
from lamella.calibration.sensitivity import Sensitivity
from lamella.calibration.stats import Statistics
from lamella.compression.compress import compress
from lamella.compression.encoder import encoder
from lamella.compression.transform.batch_norm import fold_batch_norm
from lamella.frontend.model import Model
from lamella.planner import plan as planning
from lamella.planner.forecast import Forecast
from lamella.planner.spec import Budget, Plan
from lamella.targets.registry import get


def read(spec: str, text: Path | None) -> Job:
    """Reads a spec and prepares its model for compression."""
    job = load_job(spec, text)
    return replace(job, model=fold_batch_norm(job.model))


def sensed(job: Job, stats: Path, out: Path, *, target: str, recipe: str) -> Sensitivity:
    """Measures single layers; the journal beside `out` makes the stage resumable."""
    rules, statistics = Plan.load(recipe), Statistics.load(stats)
    options = candidate_formats(job.model, rules, get(target))
    found = sense(
        job.model,
        statistics,
        options,
        job.sensing,
        encode=encoder(job.model, rules.settings, statistics),
        journal=out.with_suffix(".journal.jsonl"),
    )
    found.save(out)
    return found


def planned(spec: str, sensitivity: Path, budget: Budget, *, target: str, recipe: str) -> Plan:
    """Chooses formats from measured sensitivities alone; `optimize` also verifies the drop."""
    return planning.plan(
        fold_batch_norm(traced(spec)),
        Sensitivity.load(sensitivity),
        get(target),
        budget,
        recipe=Plan.load(recipe),
    )


def compressed(job: Job, plan: Path, stats: Path, folder: Path) -> Model:
    """Carries a plan out; solved layers stay in `folder`."""
    return compress(job.model, Plan.load(plan), Statistics.load(stats), journal=folder)


def losses(model: Model) -> Table:
    """Returns the relative output error of every compressed layer for a terminal."""
    table = Table("layer", "format", "relative error of the output")
    for name, packed in model.packed.items():
        table.add_row(name, packed.format, f"{packed.loss:.3g}")
    return table


def packed(job: Job, model: Model, plan: Path, target: str, out: Path) -> None:
    """Lowers and packs."""
    back_end = get(target)
    lowered = back_end.lower(back_end.adapt(model))
    example = feeds(job.evaluation[0])
    deliver.pack(lowered, model, Plan.load(plan), example, out, job.generation)


def forecast(spec: str, text: Path | None, budget: Budget, *, target: str, recipe: str) -> Forecast:
    """Says what `optimize` would take in size, memory and time, before any of its work."""
    job = read(spec, text)
    options = candidate_formats(job.model, Plan.load(recipe), get(target))
    return forecast_job(job, budget, options)
