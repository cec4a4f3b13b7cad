"""Mirrors sdk/lamella/compression/methods.py."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest

from lamella.compression import methods
from lamella.errors import PlanError
from lamella.frontend.layers import Kind
from lamella.planner.spec import Settings


def test_every_setting_of_a_plan_has_a_method() -> None:
    hints = get_type_hints(Settings)
    for name in get_args(hints["solver"]):
        assert methods.find(methods.SOLVERS, name).name == name
    for name in get_args(hints["pruner"]):
        assert methods.find(methods.PRUNERS, name).name == name


def test_names_and_aliases_are_unique_and_found() -> None:
    for table in (methods.SOLVERS, methods.PRUNERS, methods.TRANSFORMS):
        names = [name for method in table for name in (method.name, *method.aliases)]
        assert len(names) == len(set(names))
    assert methods.find(methods.SOLVERS, "sparsegpt").name == "gptq"


def test_every_fallback_exists_and_fits_every_kind_of_layer() -> None:
    for table in (methods.SOLVERS, methods.PRUNERS):
        for method in table:
            if set(method.kinds) != set(get_args(Kind)):
                assert set(methods.find(table, method.fallback).kinds) == set(get_args(Kind))


def test_an_embedding_is_rounded_and_pruned_by_magnitude() -> None:
    assert methods.fitting(methods.SOLVERS, "gptq", "embedding").name == "rtn"
    assert methods.fitting(methods.PRUNERS, "wanda", "embedding").name == "magnitude"
    assert methods.fitting(methods.SOLVERS, "gptq", "conv1d").name == "gptq"


def test_an_unknown_method_lists_those_that_exist() -> None:
    with pytest.raises(PlanError, match="the methods are: rtn, gptq"):
        methods.find(methods.SOLVERS, "magic")
