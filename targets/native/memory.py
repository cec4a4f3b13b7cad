"""Places arrays that live at different times in one piece of memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIGN = 64


@dataclass(frozen=True, slots=True)
class Lifetime:
    """An array of `nbytes` that must keep its bytes from call `first` to call `last`, inclusive."""

    nbytes: int
    first: int
    last: int


def aligned(nbytes: int) -> int:
    """Returns the least multiple of 64 that is not below `nbytes`."""
    return -(-nbytes // ALIGN) * ALIGN


def plan(arrays: Sequence[Lifetime]) -> tuple[list[int], int]:
    """Returns the offset of each array, and the bytes of all memory.

    Best fit by decreasing size: an array goes into the smallest gap that is large enough between
    those already placed that live at the same time, or else behind the first of them with room
    (greedy by size, Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net
    Inference", section 5.2). Offsets are multiples of 64, and an array of no bytes takes none.
    """
    offsets = [0] * len(arrays)
    placed: list[int] = []
    total = 0
    for index in sorted(range(len(arrays)), key=lambda i: (-arrays[i].nbytes, arrays[i].first, i)):
        array = arrays[index]
        busy = sorted(
            (offsets[other], offsets[other] + aligned(arrays[other].nbytes))
            for other in placed
            if arrays[other].first <= array.last and array.first <= arrays[other].last
        )
        offsets[index] = _best_gap(busy, aligned(array.nbytes))
        placed.append(index)
        total = max(total, offsets[index] + aligned(array.nbytes))
    return offsets, total


def peak(arrays: Sequence[Lifetime]) -> int:
    """Returns the most bytes that live at one time: no plan can need less."""
    calls = {array.first for array in arrays}
    return max(
        (sum(aligned(a.nbytes) for a in arrays if a.first <= call <= a.last) for call in calls),
        default=0,
    )


def _best_gap(busy: list[tuple[int, int]], nbytes: int) -> int:
    end, best, smallest = 0, None, 0
    for begin, after in busy:
        gap = begin - end
        if gap >= nbytes and (best is None or gap < smallest):
            best, smallest = end, gap
        end = max(end, after)
    return end if best is None else best
