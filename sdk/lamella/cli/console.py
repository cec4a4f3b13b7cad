"""What every verb shares: output as a table or as JSON, and options that recur."""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType


class Output(StrEnum):
    """How a verb prints its result."""

    table = "table"
    json = "json"


SpecArgument = Annotated[
    str,
    typer.Argument(metavar="SPEC", help="A Python spec, a Hugging Face folder or a .gguf file."),
]
TextOption = Annotated[
    Path | None,
    typer.Option("--text", help="Prose to calibrate and evaluate a folder or .gguf model on."),
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Print a table or JSON.")]
ThreadsOption = Annotated[int, typer.Option("--threads", min=0, help="0: as the runtime likes.")]


def show(output: Output, data: Any, tables: Iterable[RenderableType]) -> None:
    """Prints JSON on one document, or tables, to stdout."""
    if output is Output.json:
        typer.echo(json.dumps(data, indent=1, allow_nan=False))
        return
    console = Console(width=None if Console().is_terminal else 200)
    for table in tables:
        console.print(table)
