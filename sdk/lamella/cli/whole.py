"""`lamella optimize`: every stage in one command."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lamella.cli.console import Output, SpecArgument, TextOption, show


def optimize(
    spec: SpecArgument,
    out: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")],
    target: Annotated[
        str, typer.Option(help="onnx, onnx-a8 (8-bit inputs), native or tvm.")
    ] = "onnx",
    max_drop: Annotated[
        float | None, typer.Option(min=0, help="Largest drop of the metric on held-out data.")
    ] = None,
    max_size: Annotated[str | None, typer.Option(help="Largest file, such as 3MB.")] = None,
    average_bits: Annotated[
        float | None, typer.Option(min=0, help="Most bits per parameter, all bytes of the file.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="A recipe file or the name of one.")] = "balanced",
    text: TextOption = None,
    integer_flops: Annotated[
        float | None, typer.Option(min=0, max=1, help="Least share of FLOPs on int8 inputs.")
    ] = None,
    points: Annotated[int, typer.Option(min=0, help="Plans on the front; 0: none.")] = 8,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of the latency benchmark.")] = 30,
) -> None:
    """Makes a model thin, proves it, and packs it.

    Runs every stage with progress, goes on after a kill, and writes model.lamella, plan.yaml,
    report.html and report.json (for onnx also model.onnx) into the output folder.

    Example: `lamella optimize samples/vision/efficientnet_lite0.py --max-drop 0.03 -o out`
    """
    from lamella.api.optimize import optimize as run
    from lamella.api.run import Request
    from lamella.planner.spec import Budget, parse_size

    request = Request(
        spec=spec,
        target=target,
        out=out,
        budget=Budget(
            size=parse_size(max_size) if max_size else None,
            average_bits=average_bits,
            max_drop=max_drop if max_drop is not None or max_size or average_bits else 0.01,
            integer_flops=integer_flops,
        ),
        recipe=recipe,
        text=text,
        points=points,
        rounds=rounds,
        command=shlex.join(["lamella", *sys.argv[1:]]),
    )
    stages = Console(stderr=True, highlight=False, markup=False)
    report = run(request, tell=stages.print)
    show(Output.table, None, [report.table()])
    typer.echo(f"{out / 'report.html'}")


VERBS = (optimize,)
