"""Mirrors sdk/lamella/planner/problem.py."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from lamella import formats
from lamella.planner.problem import Group, Limits, Option, Problem, total, value

W8, W4 = formats.parse("w8a8"), formats.parse("w4g32")
FIRST = Group(("a",), (Option(W8, 0.5, 10, 4.0, 2.0), Option(W4, 1.5, 5, 8.0)))
SECOND = Group(("b", "c"), (Option(W8, 0.25, 20, 1.0, 1.0),))
CASE = Problem((FIRST, SECOND), overhead=100)


def test_totals_add_one_option_per_group_and_the_overhead_to_the_bytes() -> None:
    found = total(CASE, [FIRST.options[0], SECOND.options[0]])
    assert (found.nbytes, found.loss, found.operations, found.integer) == (130, 0.75, 5.0, 3.0)
    assert value(found, "nbytes") == 130
    assert value(SECOND.options[0], "loss") == 0.25


@pytest.mark.parametrize(
    ("limit", "over"),
    [({"nbytes": 130}, 129), ({"loss": 0.75}, 0.7), ({"operations": 5.0}, 4.9)],
)
def test_a_total_keeps_an_upper_limit_that_it_equals(limit: dict[str, float], over: float) -> None:
    found = total(CASE, [FIRST.options[0], SECOND.options[0]])
    assert found.keeps(Limits(**limit))  # type: ignore[arg-type]
    assert not found.keeps(Limits(**dict.fromkeys(limit, over)))  # type: ignore[arg-type]


def test_integer_work_is_a_lower_limit() -> None:
    found = total(CASE, [FIRST.options[0], SECOND.options[0]])
    assert found.keeps(Limits(integer=3.0))
    assert not found.keeps(Limits(integer=3.1))
    assert asdict(Limits()) == dict.fromkeys(("nbytes", "loss", "operations", "integer"))
