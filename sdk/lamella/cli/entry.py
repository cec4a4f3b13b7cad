"""The entry point: collects the verbs, turns errors into a sentence and an exit code."""

from __future__ import annotations

import os
import sys

import typer

from lamella.cli import artifacts, machine, stages, whole
from lamella.errors import LamellaError

INTERRUPTED = 130

# One code per class of lamella.errors; README.md repeats the table.
EXIT_CODES = (
    "Exit codes: 0 done, 2 wrong usage, 3 input missing or malformed, 4 model cannot be traced, "
    "5 calibration data, 6 plan or budget, 7 compression, 8 lowering, 9 artifact damaged, "
    "10 device or runtime, 11 file cannot be written, 130 interrupted."
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Makes models thin, layer by layer, and puts them on devices.",
    epilog=EXIT_CODES,
)
for module in (whole, stages, artifacts):
    for verb in module.VERBS:
        app.command(no_args_is_help=True)(verb)
for name, group in machine.GROUPS.items():
    app.add_typer(group, name=name)


def main() -> None:
    """Runs the command line; `EXIT_CODES` says what it exits with."""
    # Threads that wait by spinning make a run several times slower where others use the machine.
    # OpenMP reads this when torch is loaded, which the verbs do.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except LamellaError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            typer.echo("interrupted; run the same command again to go on", err=True)
        raise
