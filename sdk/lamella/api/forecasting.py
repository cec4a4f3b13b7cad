"""What a run of `optimize` will be asked to do, for the forecast."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from lamella import memory
from lamella.api import deliver
from lamella.api.job import Batch, Job, named
from lamella.api.options import Options
from lamella.planner import forecast as forecasts
from lamella.planner import machine
from lamella.planner.forecast import Forecast, Workload
from lamella.planner.spec import Budget

# A bisection over sizes measures about this many plans.
SEARCH_TRIALS = 6


def forecast_job(
    job: Job,
    budget: Budget,
    options: Options,
    *,
    points: int = 8,
    rounds: int = 30,
) -> Forecast:
    """Forecasts size, memory and time of `optimize` for a job and its data."""
    module = job.model.module
    example = _elements(named(module, job.model.kwargs or job.model.args))
    # There are no more plans to measure than ways to choose.
    ways = math.prod(max(len(formats), 1) for formats in options.values())
    trials = min(points, ways) + min(1 if budget.max_drop is None else SEARCH_TRIALS, ways)

    def size(batches: Sequence[Batch]) -> float:
        return sum(_elements(batch) for batch in batches) / example

    load = Workload(
        options=tuple(dict.fromkeys(format for each in options.values() for format in each)),
        calibration_batches=size(job.calibration),
        sense_batches=size(job.sensing),
        evaluation_batches=size(job.evaluation),
        evaluation_batch=max(size([batch]) for batch in job.evaluation),
        evaluations=trials,
        rounds=rounds * len(deliver.thread_counts()),
        row=size(job.evaluation[:1]) / _rows(job.evaluation[0]),
        by_layer={layer.id: options.get(layer.id, ()) for layer in job.model.layers},
    )
    memory.release()
    return forecasts.forecast(job.model, budget, load, machine.probe(job.model, job.calibration[0]))


def _elements(batch: Batch) -> int:
    return sum(value.numel() for value in batch.values() if isinstance(value, torch.Tensor))


def _rows(batch: Batch) -> int:
    """Returns the size of the first axis of a batch."""
    return max((value.shape[0] for value in batch.values() if value.dim()), default=1)
