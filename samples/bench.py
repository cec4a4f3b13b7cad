"""Quality benchmark: mixed plans against uniform ones of the same size, over calibration seeds.

    python samples/bench.py samples/vision/efficientnet_lite0.py --uniform w4,w6,w8 --seeds 3
    python samples/bench.py samples/llm/smollm2.py --recipe llm --uniform w3g32z,w4g32z --seeds 3

For each seed a random half of the calibration batches is drawn. Each uniform model is solved by
GPTQ with the same settings as the mixed one; layers that cannot take the format fall back as
`lamella.planner.plan.uniform` says. Then the planner gets the uniform model's bytes as its budget.
The drop of both is measured on the held-out batches in the simulation, which the ONNX target
equals. Prints one row per format: both drops and the margin, each mean and spread over seeds.
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
from lamella.api.trials import open_trials
from lamella.calibration.calibrate import calibrate
from lamella.calibration.sense import sense
from lamella.compression.transform.batch_norm import fold_batch_norm
from lamella.planner.plan import plan, uniform
from lamella.planner.spec import Budget, Plan
from lamella.targets.registry import get

WORK = Path("out/bench")


def one_seed(job: Job, recipe: Plan, names: list[str], seed: int, work: Path) -> list[dict]:
    """Returns a row per uniform format: size, uniform drop and mixed drop for one seed."""
    target, rng = get("onnx"), np.random.default_rng(seed)
    chosen = sorted(rng.permutation(len(job.calibration))[: max(2, len(job.calibration) // 2)])
    batches = [job.calibration[index] for index in chosen]
    stats = calibrate(job.model, batches, cache=work / "statistics")
    options = candidate_formats(job.model, recipe, target)
    journal = work / f"sense-{seed}.jsonl"
    sensitivity = sense(job.model, stats, options, batches[:1], journal=journal)
    folder = work / f"seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    trials = open_trials(job, job.model, stats, folder)
    rows = []
    for name in names:
        plain = replace(uniform(job.model, name, target), settings=recipe.settings)
        size = int(plain.promised["size_bytes"])
        mixed = plan(job.model, sensitivity, target, Budget(size=size), recipe=recipe)
        drops = {"uniform": trials.drop(plain), "mixed": trials.drop(mixed)}
        rows.append({"seed": seed, "format": name, "size_bytes": size, **drops})
    return rows


def table(job: Job, rows: list[dict]) -> Table:
    """Returns mean and spread (standard deviation over seeds) per uniform format."""
    title = f"{job.model.name}: drop of {job.metric}, mixed against uniform of the same size"
    result = Table(title=title)
    for heading in ("uniform", "MB", "bits/weight", "uniform drop", "mixed drop", "margin"):
        result.add_column(heading, justify="right")
    for name in dict.fromkeys(row["format"] for row in rows):
        same = [row for row in rows if row["format"] == name]
        size = same[0]["size_bytes"]
        margins = [row["uniform"] - row["mixed"] for row in same]
        columns = [[row[key] for row in same] for key in ("uniform", "mixed")] + [margins]
        spread = [f"{np.mean(values):.4f} ± {np.std(values):.4f}" for values in columns]
        result.add_row(name, f"{size / 1e6:.2f}", f"{8 * size / job.model.parameters:.2f}", *spread)
    return result


def main(
    spec: str,
    uniform: Annotated[str, typer.Option(help="Formats, separated by commas.")],
    recipe: Annotated[str, typer.Option(help="Recipe of the mixed plans.")] = "balanced",
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    work: Annotated[Path, typer.Option(help="Folder of intermediate results.")] = WORK,
    output: Annotated[str, typer.Option("-o", help="table or json")] = "table",
) -> None:
    """Runs the comparison; goes on after a kill."""
    start = time.monotonic()
    job = load_job(spec)
    job = replace(job, model=fold_batch_norm(job.model))
    folder = work / job.model.name
    folder.mkdir(parents=True, exist_ok=True)
    names, found = uniform.split(","), Plan.load(recipe)
    rows = [row for seed in range(seeds) for row in one_seed(job, found, names, seed, folder)]
    if output == "json":
        json.dump(rows, sys.stdout, indent=1)
        return
    console = Console(width=120)
    console.print(table(job, rows))
    console.print(f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    typer.run(main)
