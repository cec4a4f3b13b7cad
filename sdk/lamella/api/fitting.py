"""Plans carried out down to the file, so that a budget is kept by the file and not by a guess."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lamella.api import deliver
from lamella.api.predict import feeds
from lamella.api.run import Run
from lamella.api.trials import Trials
from lamella.calibration.sensitivity import Sensitivity
from lamella.errors import PlanError
from lamella.frontend.model import Model
from lamella.planner.front import front
from lamella.planner.plan import plan
from lamella.planner.spec import Budget, Plan
from lamella.targets.target import Lowered

ARTIFACT = "model.lamella"

# How often a plan is made anew because its file came out larger than the budget allows.
ATTEMPTS = 6


@dataclass(frozen=True, slots=True)
class Packed:
    """A plan carried out down to the file."""

    plan: Plan
    model: Model
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
        try:
            tighter = replace(budget, size=size, average_bits=None)
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
    """Makes one plan for a budget and carries it out; what stood in the folder is replaced."""
    out = run.request.out
    with run.stage("plan", "choose"):
        chosen = plan(
            run.model, sensitivity, run.target, budget, recipe=run.recipe, evaluate=trials.drop
        )
        chosen.save(out / "plan.yaml")
    with run.stage("compress"):
        compressed = run.target.adapt(trials.compress(chosen))
    with run.stage("lower"):
        lowered = run.target.lower(compressed)
        deliver.write_program(lowered, out)
        example = feeds(run.job.evaluation[0])
        deliver.pack(lowered, compressed, chosen, example, out / ARTIFACT, run.job.generation)
    return Packed(chosen, compressed, lowered, (out / ARTIFACT).stat().st_size)
