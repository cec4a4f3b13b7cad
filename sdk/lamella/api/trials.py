"""Trials of plans: compress, measure on held-out data, and remember, across restarts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from lamella import __version__, atomic, memory
from lamella.api.job import Job
from lamella.api.predict import as_tensor_function, feeds, from_module
from lamella.benchmark.fidelity import Evaluator, Fidelity, Predict
from lamella.calibration import data
from lamella.calibration.stats import Statistics
from lamella.compression.compress import compress
from lamella.frontend.model import Model
from lamella.planner.spec import Plan

# The folder of solved layers below that of the trials.
LAYERS = "layers"


@dataclass(frozen=True, slots=True)
class Trials:
    """Measures the true drop of plans of one model; made by `open_trials`.

    `folder` holds the drops of finished trials and the solved layers; a trial that is found there
    under the same `key` is not run again. `float_score` is what the job's own `evaluate` gives the
    float model, or None without one.
    """

    job: Job
    model: Model
    stats: Statistics
    evaluator: Evaluator
    float_score: float | None
    folder: Path
    key: str

    def drop(self, plan: Plan) -> float:
        """Returns the drop of a plan on the held-out data, 0 as good as the float model."""
        known = self._known()
        if plan.hash not in known:
            # The model of the trial before is held by cycles only.
            memory.release()
            fidelity = self.fidelity(from_module(self.compress(plan).module))
            known[plan.hash] = fidelity[0].drop
            content = json.dumps({"key": self.key, "drops": known}, indent=1)
            atomic.write(self._file, content.encode())
        return known[plan.hash]

    def compress(self, plan: Plan) -> Model:
        """Carries a plan out; layers that were solved before are read back."""
        return compress(self.model, plan, self.stats, journal=self.folder / LAYERS)

    def fidelity(self, predict: Predict) -> tuple[Fidelity, ...]:
        """Measures any form of the model on the held-out data; the deciding metric is first."""
        measured = self.evaluator.measure(predict)
        if self.job.evaluate is None or self.float_score is None:
            return measured
        score = float(self.job.evaluate(as_tensor_function(predict)))
        return (Fidelity("score", score, None, self.float_score - score), *measured)

    def rows(self, predict: Predict, what: str) -> list[dict[str, Any]]:
        """Returns the fidelity of one form of the model as rows of a report."""
        return [{**asdict(row), "what": what} for row in self.fidelity(predict)]

    @property
    def _file(self) -> Path:
        return self.folder / "trials.json"

    def _known(self) -> dict[str, float]:
        try:
            found = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        drops: dict[str, float] = found["drops"] if found.get("key") == self.key else {}
        return drops


def open_trials(job: Job, model: Model, stats: Statistics, folder: Path) -> Trials:
    """Runs the float model over the held-out data once.

    Raises:
        CalibrationError: an evaluation batch is not finite or does not fit, or the float model
            answers it with NaN or infinity.
    """
    digests = [data.read(batch, model.module, at).digest for at, batch in enumerate(job.evaluation)]
    parts = [__version__, stats.fingerprint, digests, job.metric, job.evaluate and job.source]
    batches = [feeds(batch) for batch in job.evaluation]
    evaluator = Evaluator(job.metric, batches, from_module(model.module))
    score = None
    if job.evaluate is not None:
        score = float(job.evaluate(as_tensor_function(from_module(model.module))))
    key = sha256(json.dumps(parts).encode()).hexdigest()
    return Trials(job, model, stats, evaluator, score, folder, key)
