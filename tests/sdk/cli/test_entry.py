"""Mirrors sdk/lamella/cli/entry.py: help, usage and exit codes."""

from __future__ import annotations

import re
import sys

import pytest
from typer.testing import CliRunner

from lamella import errors
from lamella.cli import artifacts, stages, whole
from lamella.cli.entry import EXIT_CODES, INTERRUPTED, app, main

VERBS = {
    *("optimize", "trace", "calibrate", "sense", "plan", "compress", "lower"),
    *("run", "generate", "inspect", "verify", "bench", "profile", "keygen", "sign"),
}


def said(*argv: str) -> str:
    result = CliRunner().invoke(app, list(argv), env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code in (0, 2)
    return " ".join(result.output.split())


@pytest.mark.smoke
def test_help_lists_every_verb_and_exit_code() -> None:
    text = said("--help")
    for verb in VERBS:
        assert re.search(rf"\b{verb}\b", text), verb
    assert re.search(r"\bkernels\b", text)
    assert "Exit codes: 0 done, 2 wrong usage" in text
    assert "11 file cannot be written" in text


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_help_of_each_verb_shows_an_example(verb: str) -> None:
    text = said(verb, "--help")
    assert "Example:" in text
    assert f"lamella {verb} " in text.split("Example:")[1]
    assert said(verb) == text


def test_every_class_of_error_has_a_code_of_its_own_in_the_table() -> None:
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = [kind.exit_code for kind in classes if kind is not errors.LamellaError]
    assert len(set(codes)) == len(codes)
    listed = {int(code) for code in re.findall(r"\b(\d+) [a-z]", EXIT_CODES)}
    assert listed == {0, 2, *codes, INTERRUPTED}


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        (errors.PlanError("no such layer"), 6, "PlanError: no such layer\n"),
        (errors.StorageError("disk full"), 11, "StorageError: disk full\n"),
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to go on\n"),
    ],
)
def test_errors_become_a_sentence_and_a_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: BaseException,
    code: int,
    words: str,
) -> None:
    def failing(text: str) -> int:
        raise raised

    monkeypatch.setattr("lamella.planner.spec.parse_size", failing)
    monkeypatch.setattr(sys, "argv", ["lamella", "optimize", "x", "--max-size", "3", "-o", "y"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == code
    assert capsys.readouterr().err == words


def test_the_verbs_are_those_of_the_three_modules() -> None:
    registered = [verb.callback for verb in app.registered_commands]
    assert registered == [*whole.VERBS, *stages.VERBS, *artifacts.VERBS]
    assert {verb.__name__ for verb in registered if verb} == VERBS
