"""One verb per stage; each reads and writes the files that the next one takes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lamella.cli.console import Output, OutputOption, SpecArgument, TextOption, show

StatsOption = Annotated[Path, typer.Option("--stats", help="Statistics of `lamella calibrate`.")]
PlanOption = Annotated[Path, typer.Option("--plan", help="A plan of `lamella plan`.")]
TargetOption = Annotated[
    str, typer.Option("--target", help="onnx, onnx-a8 (8-bit inputs), native or tvm.")
]
RecipeOption = Annotated[str, typer.Option("--recipe", help="A recipe file or the name of one.")]


def trace(spec: SpecArgument, output: OutputOption = Output.table) -> None:
    """Captures a model as a graph and prints its layer table.

    Example: `lamella trace samples/text/minilm.py`
    """
    from lamella.api.job import traced

    model = traced(spec)
    show(output, {"model": model.name, "layers": model.rows()}, [model.table()])


def calibrate(
    spec: SpecArgument,
    out: Annotated[Path, typer.Option("--output", "-o", help="File for the statistics.")],
    text: TextOption = None,
) -> None:
    """Runs the calibration data through the model once and keeps what its layers saw.

    Example: `lamella calibrate samples/text/minilm.py -o minilm.stats.safetensors`
    """
    from lamella.api.stages import read
    from lamella.calibration.calibrate import calibrate as run

    job = read(spec, text)
    run(job.model, job.calibration).save(out)
    typer.echo(f"{out}")


def sense(
    spec: SpecArgument,
    stats: StatsOption,
    out: Annotated[Path, typer.Option("--save", help="File for the sensitivity.")],
    target: TargetOption = "onnx",
    recipe: RecipeOption = "balanced",
    text: TextOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Measures what compressing each layer alone costs, in every format the recipe allows.

    Goes on after a kill. Example:
    `lamella sense samples/text/minilm.py --stats minilm.stats.safetensors --save sense.json`
    """
    from lamella.api.stages import read, sensed

    job = read(spec, text)
    found = sensed(job, stats, out, target=target, recipe=recipe)
    rows = [asdict(row) for row in found.rows]
    show(output, rows, [found.table()])


def plan(
    spec: SpecArgument,
    sensitivity: Annotated[
        Path | None, typer.Option("--sensitivity", help="Result of `lamella sense`.")
    ] = None,
    save: Annotated[Path | None, typer.Option("--save", help="File for the plan.")] = None,
    target: TargetOption = "onnx",
    recipe: RecipeOption = "balanced",
    max_size: Annotated[str | None, typer.Option(help="Largest file, such as 3MB.")] = None,
    average_bits: Annotated[
        float | None, typer.Option(min=0, help="Most bits per parameter, all bytes of the file.")
    ] = None,
    max_drop: Annotated[float | None, typer.Option(min=0, help="Largest expected loss.")] = None,
    text: TextOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Forecast size, memory and time; do no work.")
    ] = False,
    output: OutputOption = Output.table,
) -> None:
    """Chooses a format for every layer, or forecasts the whole job.

    Example: `lamella plan samples/text/minilm.py --max-size 20MB --dry-run`
    """
    from lamella.api import stages
    from lamella.planner.spec import Budget, parse_size

    size = parse_size(max_size) if max_size else None
    budget = Budget(size=size, average_bits=average_bits, max_drop=max_drop)
    if dry_run:
        forecast = stages.forecast(spec, text, budget, target=target, recipe=recipe)
        show(output, forecast.row(), [forecast.table()])
        return
    if sensitivity is None:
        raise typer.BadParameter("give --sensitivity FILE, or --dry-run for a forecast")
    chosen = stages.planned(spec, sensitivity, budget, target=target, recipe=recipe)
    if save is not None:
        chosen.save(save)
    show(output, chosen.data(), [chosen.table()])


def compress(
    spec: SpecArgument,
    plan: PlanOption,
    stats: StatsOption,
    out: Annotated[Path, typer.Option("--output", "-o", help="Folder of solved layers.")],
    text: TextOption = None,
) -> None:
    """Carries a plan out and prints what each layer lost. Goes on after a kill.

    Example: `lamella compress SPEC --plan plan.yaml --stats s.safetensors -o layers`
    """
    from lamella.api.stages import compressed, losses, read

    model = compressed(read(spec, text), plan, stats, out)
    show(Output.table, None, [losses(model)])


def lower(
    spec: SpecArgument,
    plan: PlanOption,
    stats: StatsOption,
    layers: Annotated[Path, typer.Option("--layers", help="Result of `lamella compress`.")],
    out: Annotated[Path, typer.Option("--output", "-o", help="The .lamella file to write.")],
    target: TargetOption = "onnx",
    text: TextOption = None,
) -> None:
    """Expresses a compressed model for a target and packs it into one file.

    Example:
    `lamella lower SPEC --plan plan.yaml --stats s.safetensors --layers layers -o m.lamella`
    """
    from lamella.api.stages import compressed, packed, read

    job = read(spec, text)
    packed(job, compressed(job, plan, stats, layers), plan, target, out)
    typer.echo(f"{out}: {out.stat().st_size:,} bytes")


VERBS = (trace, calibrate, sense, plan, compress, lower)
