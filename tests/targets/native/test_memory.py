"""The memory plan against the least that any plan needs, and against all plans of small cases."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from lamella.targets.native.memory import Lifetime, aligned, peak, plan

LIFETIMES = st.builds(
    lambda nbytes, first, length: Lifetime(nbytes, first, first + length),
    st.integers(0, 1000),
    st.integers(0, 12),
    st.integers(0, 6),
)


def overlap(a: Lifetime, b: Lifetime) -> bool:
    return a.first <= b.last and b.first <= a.last


@given(st.lists(LIFETIMES, max_size=12))
def test_arrays_that_live_together_do_not_share_bytes(arrays: list[Lifetime]) -> None:
    offsets, total = plan(arrays)
    assert peak(arrays) <= total <= sum(aligned(array.nbytes) for array in arrays)
    for i, a in enumerate(arrays):
        assert offsets[i] % 64 == 0
        assert offsets[i] + a.nbytes <= total
        for j, b in enumerate(arrays[:i]):
            if a.nbytes and b.nbytes and overlap(a, b):
                apart = offsets[i] + a.nbytes <= offsets[j] or offsets[j] + b.nbytes <= offsets[i]
                assert apart


def best(arrays: list[Lifetime]) -> int:
    """The least bytes of all plans that place the arrays in some order, each as low as it goes."""
    least = sum(aligned(array.nbytes) for array in arrays)
    for order in permutations(range(len(arrays))):
        ends: dict[int, tuple[int, int]] = {}
        for index in order:
            offset, moved = 0, True
            while moved:
                moved = False
                for other, (begin, end) in ends.items():
                    size = aligned(arrays[index].nbytes)
                    met = overlap(arrays[index], arrays[other])
                    if met and begin < offset + size and offset < end:
                        offset, moved = end, True
            ends[index] = (offset, offset + aligned(arrays[index].nbytes))
        least = min(least, max(end for _, end in ends.values()))
    return least


@settings(max_examples=60, deadline=None)
@given(st.lists(LIFETIMES, min_size=1, max_size=5))
def test_plans_are_near_the_best(arrays: list[Lifetime]) -> None:
    # Greedy plans are not the best ones always, but never far from them on so few arrays.
    assert plan(arrays)[1] <= 1.5 * best(arrays)


def test_a_chain_needs_two_arrays() -> None:
    chain = [Lifetime(640, step, step + 1) for step in range(10)]
    assert plan(chain) == ([0, 640] * 5, 1280)


def test_a_residual_stays_where_it_is() -> None:
    arrays = [Lifetime(128, 0, 3), Lifetime(256, 1, 2), Lifetime(256, 2, 3), Lifetime(64, 4, 5)]
    offsets, total = plan(arrays)
    assert total == peak(arrays) == 640
    assert offsets[3] == 0
