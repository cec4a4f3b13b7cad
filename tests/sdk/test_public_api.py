"""The names that lamella promises, and how little it loads before they are used."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module

import pytest

import lamella

HEAVY = ("torch", "transformers", "onnx", "onnxruntime", "onnx_ir", "tvm", "scipy", "matplotlib")


@pytest.mark.smoke
@pytest.mark.parametrize("name", lamella.__all__)
def test_every_public_name_resolves_to_the_thing_of_its_module(name: str) -> None:
    found = getattr(lamella, name)
    module, attribute = lamella._PLACES[name]
    assert found is getattr(import_module(module), attribute)
    assert callable(found)
    assert found.__doc__


def test_the_list_of_names_is_sorted_and_complete() -> None:
    assert lamella.__all__ == sorted(lamella.__all__)
    assert set(lamella.__all__) == set(lamella._PLACES)


def test_type_checkers_see_the_same_names() -> None:
    assert lamella.__file__ is not None
    with open(lamella.__file__, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    guarded = next(
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == lamella._PLACES


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'lamella' has no attribute 'compres'"):
        lamella.compres  # noqa: B018


def test_a_subpackage_never_hides_a_function() -> None:
    for name in lamella.__all__:
        with pytest.raises(ModuleNotFoundError):
            import_module(f"lamella.{name}")


@pytest.mark.smoke
@pytest.mark.parametrize("module", ["lamella", "lamella.runtime", "lamella.cli.entry"])
def test_what_runs_on_a_device_or_prints_help_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
