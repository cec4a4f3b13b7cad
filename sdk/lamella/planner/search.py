"""The accuracy loop: the cheapest plan whose true loss was measured to fit.

Single losses add up only roughly, so their sum orders plans and the truth is measured. The true
loss need not fall with the cost, so the answer is always a plan that was itself measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from lamella.planner.front import Front, Trial, Trials
from lamella.planner.problem import Allocation
from lamella.progress import track

# The most plans that one search measures.
EVALUATIONS = 12

# The search ends when a cheaper plan could save less than this share of the cost.
TOLERANCE = 0.005

# How far below the allowed loss a guess aims, so that most guesses fit.
AIM = 0.97


@dataclass(frozen=True, slots=True)
class Bracket:
    """Where the answer lies: no plan costs less than `floor`, none is known to fit up to `low`."""

    floor: float
    low: float
    fits: Trial

    @property
    def width(self) -> float:
        """Returns the logarithm of the ratio of the ends."""
        return math.log(self.fits.cost / self.low)

    def after(self, trial: Trial, max_drop: float) -> Bracket:
        """Returns the part that is left once a plan inside was measured."""
        if trial.drop <= max_drop:
            return replace(self, fits=trial)
        return replace(self, low=trial.cost)


def least(front: Front, trials: Trials, careful: Trial, max_drop: float) -> Trial:
    """Returns the cheapest plan found whose measured drop is at most `max_drop`.

    Guesses scale the sum of single losses by what it was off at the last measured plan; where
    that closes in too slowly, the cost is bisected.

    Args:
        front: the plans to choose from.
        trials: measures plans and remembers the results.
        careful: the measured plan of least loss; it fits.
        max_drop: the largest true loss allowed.
    """
    floor = front.cost(front.cheapest())
    # The cheapest plan of all must lie inside, since it may fit.
    bracket = Bracket(floor, floor * (1 - 2 * TOLERANCE), careful)
    last: Trial | None = careful
    for _ in track(range(EVALUATIONS), "verify plans"):
        following = _following(front, bracket, last, max_drop)
        if following is None:
            break
        trial = front.measure(following, trials)
        left = bracket.after(trial, max_drop)
        last = trial if left.width < bracket.width / 2 else None
        bracket = left
    return bracket.fits


def _following(
    front: Front, bracket: Bracket, last: Trial | None, max_drop: float
) -> Allocation | None:
    """Returns what to measure next, inside the bracket, or None at the end.

    `last` is the plan to scale the sum of losses by, None to bisect.
    """
    low, high = bracket.low, bracket.fits.cost
    if last is not None and last.drop > 0 and last.expected > 0:
        wanted = AIM * max_drop * last.expected / last.drop
        guess = front.expecting(max(wanted, bracket.fits.expected))
        if low * (1 + TOLERANCE) < front.cost(guess) < high * (1 - TOLERANCE):
            return guess
    while high > low * (1 + TOLERANCE):
        middle = max(math.sqrt(low * high), bracket.floor)
        found = front.within(middle)
        if low < front.cost(found) < high:
            return found
        # No plan costs between `low` and the middle.
        low = middle
    return None
