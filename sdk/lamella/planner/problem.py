"""The allocator's problem: groups of layers, the options of each, and limits on their totals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lamella.formats import Format

Goal = Literal["loss", "nbytes", "operations"]


@dataclass(frozen=True, slots=True)
class Option:
    """One format for a group of layers: total loss, bytes and operations by operand width.

    `integer` is the number of FLOPs that are computed on int8 activations.
    """

    format: Format
    loss: float
    nbytes: int
    operations: float = 0.0
    integer: float = 0.0


@dataclass(frozen=True, slots=True)
class Group:
    """Layers that share one format, and the options they have."""

    layers: tuple[str, ...]
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """The groups of a model and the bytes of its file that lie outside of them."""

    groups: tuple[Group, ...]
    overhead: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds on the bytes of the file, the total loss and the operations.

    `integer` is a lower bound on the FLOPs that are computed on int8 activations.
    """

    nbytes: int | None = None
    loss: float | None = None
    operations: float | None = None
    integer: float | None = None


@dataclass(frozen=True, slots=True)
class Allocation:
    """One option per group, in the order of the groups, with its totals."""

    options: tuple[Option, ...]
    nbytes: int
    loss: float
    operations: float
    integer: float

    def keeps(self, limits: Limits) -> bool:
        """Whether the totals are within the limits."""
        return (
            (limits.nbytes is None or self.nbytes <= limits.nbytes)
            and (limits.loss is None or self.loss <= limits.loss)
            and (limits.operations is None or self.operations <= limits.operations)
            # The bound is itself a rounded product of a share and a sum.
            and (limits.integer is None or self.integer >= limits.integer * (1 - 1e-9))
        )


def total(problem: Problem, options: Sequence[Option]) -> Allocation:
    """Adds up one option per group."""
    return Allocation(
        tuple(options),
        problem.overhead + sum(option.nbytes for option in options),
        math.fsum(option.loss for option in options),
        math.fsum(option.operations for option in options),
        math.fsum(option.integer for option in options),
    )


def value(figures: Option | Allocation, goal: Goal) -> float:
    """Returns what a goal makes small."""
    return float(getattr(figures, goal))
