"""How much work each stage of a run is, counted from the layer table alone.

The counts are of five sorts, one for each rate of `machine.Machine`: runs of the model, FLOPs of
matrix products in float32 and float64, and values touched one by one on all threads or on one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lamella.frontend.layers import Layer
from lamella.frontend.model import Model
from lamella.planner.machine import Machine

# What follows was fitted to single-threaded runs of the stages themselves, on layers of 64 to
# 1536 columns, against the rates that `machine.probe` measures beside them.

# Values touched per weight: rounding with the search for scales; GPTQ with its polish, which does
# that too.
ROUND_VALUES = 330
SWEEP_VALUES = 950

# float64 FLOPs of GPTQ per (row, column, column) of a layer and per (column, column, column) of a
# second moment, and the seconds it spends on each column whatever the number of rows.
SWEEP_PRODUCTS = 3
FACTOR_PRODUCTS = 9.5
COLUMN_SECONDS = 2.8e-5

# Values touched per weight to read a solved layer back, decode it and put it in place.
RESTORE_VALUES = 50

# Values touched per observed activation (extremes, histogram, sums per channel) of a layer whose
# channels are the last axis, and of a convolution, whose channels have to be brought there.
OBSERVE_VALUES, OBSERVE_IMAGE_VALUES = 20, 29

# Values touched per entry of a second moment to take out its upper half at the end.
COLLECT_VALUES = 85

# Values touched per output to compare it with the float model's, in a sensitivity probe and, in
# float64, on held-out data.
COMPARE_VALUES, MEASURE_VALUES = 12, 20

# Runs of the model before the first sensitivity probe: to find its blocks, and to check that
# skipping them changes nothing.
PREPARE_RUNS = 2.5

# A layer's share of the time of a run counts as many FLOPs for every value that it writes:
# normalisation, activation and memory traffic.
VALUE_FLOPS = 1000

# A convolution gives at most this many positions of a batch to its second moment.
POSITIONS = 4096


@dataclass(frozen=True, slots=True)
class Work:
    """An amount of work; `seconds` is what takes its time whatever the machine."""

    forwards: float = 0.0
    single: float = 0.0
    double: float = 0.0
    elements: float = 0.0
    steps: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.forwards + other.forwards,
            self.single + other.single,
            self.double + other.double,
            self.elements + other.elements,
            self.steps + other.steps,
            self.seconds + other.seconds,
        )

    def times(self, count: float) -> Work:
        """Returns the work done `count` times over."""
        return Work(
            self.forwards * count,
            self.single * count,
            self.double * count,
            self.elements * count,
            self.steps * count,
            self.seconds * count,
        )

    def on(self, machine: Machine) -> float:
        """Returns the seconds that the work takes."""
        return (
            self.forwards * machine.forward_seconds
            + self.single / machine.single
            + self.double / machine.double
            + self.elements / machine.elements
            + self.steps / machine.steps
            + self.seconds
        )


def positions(layer: Layer) -> float:
    """Returns how many rows of its matrix product one run on the example inputs computes."""
    return layer.flops / (2 * layer.rows * layer.cols)


def outputs(layer: Layer) -> float:
    """Returns how many values a layer writes in one run on the example inputs."""
    return positions(layer) * layer.rows


def problems(layer: Layer) -> int:
    """Returns how many second moments the input of a layer has, one per group of a convolution."""
    return layer.convolution.groups if layer.convolution else 1


def moments(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Returns one layer for each distinct second moment: an input group seen in one geometry."""
    first: dict[tuple[object, ...], Layer] = {}
    for layer in layers:
        if layer.kind != "embedding":
            first.setdefault((layer.input_group, layer.convolution), layer)
    return tuple(first.values())


def observe(layers: Sequence[Layer], scale: float) -> Work:
    """Returns the work of one run that collects all statistics.

    Args:
        layers: the layer table.
        scale: the size of the batch in units of the example inputs.
    """
    work = Work(forwards=1)
    for layer in moments(layers):
        rows = positions(layer) * scale
        if layer.convolution:
            rows = min(rows, POSITIONS)
        columns = problems(layer) * layer.cols
        touched = _touched(layer) * rows * columns
        work += Work(single=2 * rows * columns * layer.cols, elements=touched)
    written = sum(_touched(layer) * outputs(layer) for layer in layers)
    return work + Work(elements=written * scale)


def collect(layers: Sequence[Layer]) -> Work:
    """Returns the work of handing out all statistics at the end of a calibration."""
    entries = sum(problems(layer) * layer.cols**2 for layer in moments(layers))
    return Work(steps=COLLECT_VALUES * entries)


def sense(model: Model, tries: Mapping[str, int], batches: float, values: int, solver: str) -> Work:
    """Returns the work of solving and measuring every layer alone in each of its formats.

    Args:
        model: its layers are measured.
        tries: the number of formats that each layer is measured in, by id.
        batches: the runs of the model on a batch.
        values: the number of values that one run returns.
        solver: what encodes a layer.
    """
    work = Work()
    for layer in model.layers:
        if layer.tied_to:
            continue
        # The proxy multiplies the weight and its error by the second moment.
        once = solve((layer,), solver)
        if layer.kind != "embedding":
            once += Work(single=4 * layer.rows * layer.cols**2)
        runs = Work(forwards=_share_from(layer, model.layers), elements=COMPARE_VALUES * values)
        work += (once + runs.times(batches)).times(tries[layer.id])
    return work + Work(forwards=batches + PREPARE_RUNS)


def solve(layers: Sequence[Layer], solver: str) -> Work:
    """Returns the work of solving every layer once."""
    work = Work()
    for layer in layers:
        if layer.tied_to:
            continue
        weights = layer.rows * layer.cols
        if solver == "rtn" or layer.kind == "embedding":
            work += Work(steps=ROUND_VALUES * weights)
            continue
        work += Work(
            steps=SWEEP_VALUES * weights,
            double=SWEEP_PRODUCTS * weights * layer.cols
            + FACTOR_PRODUCTS * problems(layer) * layer.cols**3,
            seconds=COLUMN_SECONDS * layer.cols,
        )
    return work


def measure(values: float) -> Work:
    """Returns the work of comparing so many output values on held-out data, and making them."""
    return Work(forwards=1, elements=MEASURE_VALUES * values)


def restore(layers: Sequence[Layer]) -> Work:
    """Returns the work of putting layers in place that were solved before."""
    weights = sum(layer.rows * layer.cols for layer in layers if not layer.tied_to)
    return Work(steps=RESTORE_VALUES * weights)


def _touched(layer: Layer) -> int:
    return OBSERVE_IMAGE_VALUES if layer.convolution else OBSERVE_VALUES


def _share_from(layer: Layer, layers: Sequence[Layer]) -> float:
    """Returns the share of a run that is left once the blocks before a layer are skipped."""
    spent = {other.id: other.flops + VALUE_FLOPS * outputs(other) for other in layers}
    total = sum(spent.values())
    if layer.block is None or not total:
        # What stands outside of the blocks is either before all of them or after.
        before = layer.kind == "embedding" or not _follows_blocks(layer, layers)
        return 1.0 if before else sum(spent[o.id] for o in layers if o.block is None) / total
    skipped = sum(spent[o.id] for o in layers if o.block is not None and o.block < layer.block)
    return 1 - skipped / total


def _follows_blocks(layer: Layer, layers: Sequence[Layer]) -> bool:
    """Whether a layer is called after the last block; the table is in the order of calls."""
    inside = [index for index, other in enumerate(layers) if other.block is not None]
    return bool(inside) and layers.index(layer) > inside[-1]
