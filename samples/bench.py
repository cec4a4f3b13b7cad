"""Quality benchmark: mixed plans against uniform ones of the same size, over calibration seeds.

    python samples/bench.py samples/vision/efficientnet_lite0.py --uniform w4,w6,w8 --seeds 3
    python samples/bench.py samples/llm/smollm2.py --recipe llm --uniform w3g32z,w4g32z --seeds 3

For each seed a random half of the calibration batches is drawn. Each uniform model is solved by
GPTQ with the same settings as the mixed one; layers that cannot take the format fall back as
`lamella.planner.plan.uniform` says. Then the planner gets the uniform model's bytes as its budget.
The drop of both is measured on the held-out batches in the simulation, which the ONNX target
equals, or with --kernels on the kernels of lamella.
Prints one row per metric and format: both drops and the margin, each with its spread.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lamella.api.job import Job, load_job
from lamella.api.options import candidate_formats
from lamella.api.predict import from_module
from lamella.api.trials import LAYERS, Trials, open_trials
from lamella.calibration.calibrate import calibrate
from lamella.calibration.sense import sense
from lamella.compression.emulate import emulate
from lamella.compression.encoder import encoder
from lamella.compression.transform.batch_norm import fold_batch_norm
from lamella.planner.plan import plan, uniform
from lamella.planner.spec import Budget, Plan
from lamella.targets.registry import get

WORK = Path("out/bench")


def one_seed(
    job: Job, recipe: Plan, names: list[str], seed: int, work: Path, kernels: bool
) -> list[dict]:
    """Returns a row per uniform format: size, uniform drop and mixed drop for one seed."""
    target, rng = get("onnx"), np.random.default_rng(seed)
    chosen = sorted(rng.permutation(len(job.calibration))[: max(2, len(job.calibration) // 2)])
    batches = [job.calibration[index] for index in chosen]
    stats = calibrate(job.model, batches, cache=work / "statistics")
    options = candidate_formats(job.model, recipe, target)
    folder = work / f"seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    encode = encoder(job.model, recipe.settings, stats, folder / LAYERS)
    journal = folder / "sense.jsonl"
    sensitivity = sense(job.model, stats, options, job.sensing, encode=encode, journal=journal)
    trials = open_trials(job, job.model, stats, folder)
    rows = []
    for name in names:
        plain = replace(uniform(job.model, name, target), settings=recipe.settings)
        size = int(plain.promised["size_bytes"])
        mixed = plan(job.model, sensitivity, target, Budget(size=size), recipe=recipe)
        pair = {"uniform": plain, "mixed": mixed}
        sides = {side: drops(trials, chosen, kernels) for side, chosen in pair.items()}
        rows.append({"seed": seed, "format": name, "size_bytes": size, **sides})
    return rows


def drops(trials: Trials, chosen: Plan, kernels: bool) -> dict[str, float]:
    """Returns what a plan loses on the held-out data, by metric; the deciding one comes first."""
    model = trials.compress(chosen)
    found = trials.fidelity(from_module(emulate(model) if kernels else model.module))
    return {row.name: row.drop for row in found}


def table(job: Job, rows: list[dict]) -> Table:
    """Returns mean and spread (standard deviation over seeds) per metric and uniform format."""
    result = Table(title=f"{job.model.name}: drop, mixed against uniform of the same size")
    for heading in (
        "metric",
        "uniform",
        "MB",
        "bits/weight",
        "uniform drop",
        "mixed drop",
        "margin",
    ):
        result.add_column(heading, justify="right")
    for metric in rows[0]["mixed"]:
        for name in dict.fromkeys(row["format"] for row in rows):
            same = [row for row in rows if row["format"] == name]
            size = same[0]["size_bytes"]
            values = [[row[side][metric] for row in same] for side in ("uniform", "mixed")]
            values.append([uniform - mixed for uniform, mixed in zip(*values, strict=True)])
            spread = [f"{np.mean(each):.5f} ± {np.std(each):.5f}" for each in values]
            bits = 8 * size / job.model.parameters
            result.add_row(metric, name, f"{size / 1e6:.2f}", f"{bits:.2f}", *spread)
    return result


def main(
    spec: str,
    uniform: Annotated[str, typer.Option(help="Formats, separated by commas.")],
    recipe: Annotated[str, typer.Option(help="Recipe of the mixed plans.")] = "balanced",
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    work: Annotated[Path, typer.Option(help="Folder of intermediate results.")] = WORK,
    kernels: Annotated[
        bool, typer.Option("--kernels", help="Measure on lamella's kernels, inputs in 8 bits.")
    ] = False,
    output: Annotated[str, typer.Option("-o", help="table or json")] = "table",
) -> None:
    """Runs the comparison; goes on after a kill."""
    start = time.monotonic()
    job = load_job(spec)
    job = replace(job, model=fold_batch_norm(job.model))
    folder = work / job.model.name
    folder.mkdir(parents=True, exist_ok=True)
    names, found = uniform.split(","), Plan.load(recipe)
    rows = [
        row for seed in range(seeds) for row in one_seed(job, found, names, seed, folder, kernels)
    ]
    if output == "json":
        json.dump(rows, sys.stdout, indent=1)
        return
    console = Console(width=120)
    console.print(table(job, rows))
    console.print(f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    typer.run(main)
