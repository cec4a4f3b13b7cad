"""Compresses one layer: its mask, its codes, what its bias gives back, the grid of its input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lamella.calibration.patches import window
from lamella.calibration.stats import Statistics
from lamella.compression import activations, journal, methods
from lamella.compression.journal import Entry
from lamella.compression.quantize import bias
from lamella.compression.quantize.problem import Problem, Solution
from lamella.errors import CalibrationError
from lamella.formats import Format
from lamella.frontend.layers import Layer
from lamella.frontend.model import Compressed, Model
from lamella.frontend.sources import sizes
from lamella.graph.calls import find_calls
from lamella.grids import Real
from lamella.planner.spec import Settings
from lamella.threads import one_thread


@dataclass(frozen=True, slots=True)
class Job:
    """What all layers of one run share.

    `journal` is a folder or None; `sizes` are the (height, width) of what convolutions read.
    """

    model: Model
    settings: Settings
    stats: Statistics
    journal: Path | None
    sizes: Mapping[str, tuple[int, int]]


def prepare(model: Model, settings: Settings, stats: Statistics, journal: Path | None) -> Job:
    """Returns what the layers of one run share; `journal` is a folder or None."""
    return Job(model, settings, stats, journal, _image_sizes(model))


def solve(job: Job, layer: Layer, format: Format) -> Entry:
    """Returns what the layer becomes, from the journal if it is there.

    Raises:
        CompressionError: the weight or its second moment is not finite.
        CalibrationError: statistics that the settings need were not collected.
        StorageError: the journal cannot be written.
    """
    weight = job.model.weight(layer)
    if job.journal is None:
        return _solve(job, layer, format, weight)
    facts = {
        "layer": layer.id,
        "format": format.id,
        "settings": asdict(job.settings),
        "statistics": job.stats.fingerprint,
        "size": job.sizes.get(layer.id),
    }
    name = journal.digest(facts, weight)
    entry = journal.read(job.journal, name, format)
    if entry is None:
        entry = _solve(job, layer, format, weight)
        journal.write(job.journal, name, entry)
    return entry


def compressed(job: Job, layer: Layer, format: Format, solution: Solution) -> Compressed:
    """Returns the layer's entry in the packed model, with the grid of its input.

    Raises:
        CalibrationError: the ranges of the layer were not collected.
    """
    grid = None
    if format.activation == "static":
        grid = activations.choose(job.stats.input(layer), job.settings.activation_range)
    return Compressed(format.id, solution.quantized, solution.values, grid, solution.loss)


def _solve(job: Job, layer: Layer, format: Format, weight: Real) -> Entry:
    lossy = format.sparsity is not None or not format.is_float
    # Floating point without a mask is rounded on its own: there is nothing to make up for.
    name = job.settings.solver if lossy else "rtn"
    solver = methods.fitting(methods.SOLVERS, name, layer.kind)
    pruner = methods.fitting(methods.PRUNERS, job.settings.pruner, layer.kind)
    needed = "moments" in (solver.needs, pruner.needs if format.sparsity else "nothing")
    problem = _problem(job, layer, Problem(layer.id, weight, format), needed=needed)
    if format.sparsity is not None:
        problem = replace(problem, mask=pruner.run(problem, format.sparsity))
    with one_thread():
        solution = solver.run(problem, job.settings)
    if not (lossy and layer.has_bias and job.settings.bias_correction):
        return Entry(solution, None)
    return Entry(solution, bias.shift(problem, solution.decode(), _input(job, layer)))


def _problem(job: Job, layer: Layer, problem: Problem, *, needed: bool) -> Problem:
    """Adds the statistics of the layer; those that are not needed may be missing."""
    try:
        if layer.kind == "embedding":
            return replace(problem, counts=job.stats.row_counts(layer))
        return replace(problem, moment=job.stats.moment(layer))
    except CalibrationError:
        if needed:
            raise
        return problem


def _input(job: Job, layer: Layer) -> bias.Input:
    mean = job.stats.input(layer).mean
    if layer.convolution is None:
        return bias.Input(mean)
    return bias.Input(mean, window(layer.convolution), job.sizes[layer.id])


def _image_sizes(model: Model) -> dict[str, tuple[int, int]]:
    """Maps convolutions to the (height, width) that they read on the example inputs."""
    ids = [layer.id for layer in model.layers if layer.convolution is not None]
    found = {}
    for call in find_calls(model.program, ids):
        spatial = sizes(call.source.meta["val"])[-2:]
        flat = "conv1d" in str(call.node.target)
        found[call.layer] = (1, spatial[1]) if flat else (spatial[0], spatial[1])
    return found
