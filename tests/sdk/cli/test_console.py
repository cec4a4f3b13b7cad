"""Mirrors sdk/lamella/cli/console.py."""

from __future__ import annotations

import json

import pytest
from rich.table import Table

from lamella.cli.console import Output, show


def test_json_is_one_document_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    show(Output.json, {"a": [1, None]}, ["a table"])
    seen = capsys.readouterr()
    assert json.loads(seen.out) == {"a": [1, None]}
    assert seen.err == ""


def test_json_refuses_what_json_does_not_have() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        show(Output.json, {"a": float("nan")}, [])


def test_tables_are_wide_enough_for_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("layer", "rule")
    table.add_row("x" * 60, "y" * 60)
    show(Output.table, None, [table, "a line"])
    seen = capsys.readouterr().out
    assert "x" * 60 in seen
    assert "y" * 60 in seen
    assert seen.endswith("a line\n")
