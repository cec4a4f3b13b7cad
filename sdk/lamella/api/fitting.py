"""Plans carried out down to the file, so that a budget is kept by the file and not by a guess."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from lamella.api import deliver
from lamella.api.predict import feeds
from lamella.api.run import Run
from lamella.api.trials import Trials
from lamella.calibration.sensitivity import Sensitivity
from lamella.errors import PlanError, StorageError
from lamella.planner.front import front
from lamella.planner.plan import plan
from lamella.planner.spec import Budget, Plan
from lamella.targets.target import Lowered

ARTIFACT = "model.lamella"

# How often a plan is made anew because its file came out larger than the budget allows.
ATTEMPTS = 6


@dataclass(frozen=True, slots=True)
class Packed:
    """A plan carried out down to the file.

    The compressed model is not kept: the journal gives it back in seconds.
    """

    plan: Plan
    lowered: Lowered
    size_bytes: int

    @property
    def surplus(self) -> int:
        """Returns by how many bytes the file is larger than the plan promised."""
        return self.size_bytes - int(self.plan.promised["size_bytes"])


def fitted(run: Run, sensitivity: Sensitivity, trials: Trials) -> Packed:
    """Plans, compresses, lowers and packs, until the file itself keeps to the budget.

    The planner estimates what surrounds the weights in a file; where the estimate was too small,
    the next plan has to make up for it.

    Raises:
        PlanError: the budget cannot be met; the message says what can.
    """
    budget = replace(run.request.budget, metric=run.job.decides)
    cap = budget.cap(run.model.parameters)
    found = carried_out(run, sensitivity, trials, budget)
    least = front(run.model, sensitivity, run.target, run.recipe).cheapest().nbytes
    for left in reversed(range(ATTEMPTS + 1)):
        if cap is None or found.size_bytes <= cap:
            return found
        if not left or found.size_bytes - found.surplus <= least:
            break
        size = max(cap - found.surplus, least) if left > 1 else least
        tighter = replace(budget, size=size, average_bits=None)
        try:
            found = carried_out(run, sensitivity, trials, tighter)
        except PlanError as error:
            raise PlanError(
                f"the file came out at {found.size_bytes:,} bytes, the budget allows {cap:,}, and "
                f"of a smaller plan: {error}"
            ) from error
    raise PlanError(
        f"the smallest plan gives a file of {found.size_bytes:,} bytes, the budget allows {cap:,}; "
        "raise the budget, or allow narrower formats"
    )


def carried_out(run: Run, sensitivity: Sensitivity, trials: Trials, budget: Budget) -> Packed:
    """Makes one plan for a budget and carries it out, as far as a file in the working folder."""
    with run.stage("plan", "choose"):
        chosen = plan(
            run.model, sensitivity, run.target, budget, recipe=run.recipe, evaluate=trials.drop
        )
    with run.stage("compress"):
        compressed = run.target.adapt(trials.compress(chosen))
    with run.stage("lower"):
        lowered = run.target.lower(compressed)
    del compressed
    # Packing runs the program once, for the canary.
    with run.stage("pack"):
        example, path = feeds(run.job.evaluation[0]), run.work / ARTIFACT
        deliver.pack(lowered, run.model, chosen, example, path, run.job.generation)
    return Packed(chosen, lowered, path.stat().st_size)


def publish(run: Run, packed: Packed) -> None:
    """Moves a result that keeps to the budget into the output folder, over what stood there.

    Raises:
        StorageError: a file cannot be written.
    """
    out = run.request.out
    packed.plan.save(out / "plan.yaml")
    deliver.write_program(packed.lowered, out)
    try:
        os.replace(run.work / ARTIFACT, out / ARTIFACT)
    except OSError as error:
        raise StorageError(f"cannot write {out / ARTIFACT}: {error.strerror or error}") from error
