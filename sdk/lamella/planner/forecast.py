"""The forecast of a run, before any of its work: file size, time and peak memory by stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from rich.table import Table

from lamella.errors import PlanError
from lamella.formats import Format
from lamella.frontend.model import Model
from lamella.planner import cost, machine, work
from lamella.planner.machine import Machine
from lamella.planner.spec import Budget, Plan
from lamella.planner.work import Work

# Bytes per value: float32, float64.
SINGLE, DOUBLE = 4, 8

# Copies of the largest second moment that a factorisation holds in float64: the moment itself,
# damped, reordered, its Cholesky factor, the identity and the inverse factor.
FACTOR_COPIES = 6

# Bytes per entry of the largest second moment while its upper half is taken out: the matrix, two
# index arrays of half its size in int64, and the half itself.
UNPACK_BYTES = 4 + 8 + 2

# Rows of a weight are solved in chunks of this many values, with so many bytes for each.
CHUNK_VALUES, CHUNK_BYTES = 1 << 20, 80

# Copies of the largest weight in float32 while a layer is changed: as it was and as it becomes;
# what solvers need beside them goes by rows.
WEIGHT_COPIES = 2

# Copies of the largest activation while a model runs (whatever lives beside it), and while it is
# observed: as it is, flat, its absolute values, and in float64 to be summed.
RUN_COPIES, OBSERVE_COPIES, OBSERVE_IMAGE_COPIES = 8, 5, 16

# What making a graph takes beyond the compressed module, what onnxruntime takes to open one whose
# weights it unpacks, and what exporting, packing and running the float model takes, as copies of
# all weights in float32.
GRAPH_COPIES, OPEN_COPIES, FLOAT_COPIES = 1.25, 2.0, 5.5

# Recorded block outputs may take this much memory; beyond it nothing is recorded.
RECORDING_BYTES = 512 << 20

# Seconds to export any graph, per operator to rewrite it, and per parameter to pack and write it.
EXPORT_SECONDS, OPERATOR_SECONDS, PARAMETER_SECONDS = 1.5, 0.004, 7e-8

# Seconds to write an artifact, open it and run it once, per float32 byte.
OPEN_SECONDS = 1e-8


@dataclass(frozen=True, slots=True)
class Workload:
    """What a run will be asked to do.

    The numbers of batches are in units of the example inputs: ten batches of twice their size
    count 20. `evaluations` is how many plans are compressed and measured on held-out data, whose
    largest batch has the size `evaluation_batch`; `rounds` is how often the result and the float
    model are timed, on inputs of the size `row`.
    `by_layer` maps layer ids to the formats tried on them where these are not `options`.
    """

    options: tuple[Format, ...]
    calibration_batches: float
    sense_batches: float
    evaluation_batches: float = 0.0
    evaluation_batch: float = 0.0
    evaluations: int = 0
    rounds: int = 0
    row: float = 1.0
    solver: str = "gptq"
    by_layer: Mapping[str, Sequence[Format]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.options:
            raise PlanError("a forecast needs the formats that will be tried; give at least one")


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its time, and the memory it needs beyond the loaded model."""

    name: str
    seconds: float
    extra_bytes: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run is expected to take and to give.

    `size_bytes` is the size of the file: that of the plan or the budget, or else with every layer
    in the median of the formats. `resident_bytes` is the memory of the process before the run.
    """

    size_bytes: int
    resident_bytes: int
    stages: tuple[Stage, ...]

    @property
    def peak_rss_bytes(self) -> int:
        """Returns the largest memory of the process during the run."""
        return self.resident_bytes + max(stage.extra_bytes for stage in self.stages)

    @property
    def seconds(self) -> float:
        """Returns the time of all stages."""
        return sum(stage.seconds for stage in self.stages)

    def row(self) -> dict[str, Any]:
        """Returns the forecast as plain values, ready for JSON."""
        totals = {"peak_rss_bytes": self.peak_rss_bytes, "seconds": self.seconds}
        return asdict(self) | totals

    def table(self) -> Table:
        """Returns the forecast for a terminal."""
        table = Table(title=f"forecast: a file of {self.size_bytes / 1e6:.2f} MB", show_footer=True)
        table.add_column("stage", footer="all, peak")
        table.add_column("seconds", justify="right", footer=f"{self.seconds:,.1f}")
        table.add_column(
            "memory in MB", justify="right", footer=f"{self.peak_rss_bytes / 1e6:,.0f}"
        )
        table.add_row("load", "", f"{self.resident_bytes / 1e6:,.0f}")
        for stage in self.stages:
            memory = (self.resident_bytes + stage.extra_bytes) / 1e6
            table.add_row(stage.name, f"{stage.seconds:,.1f}", f"{memory:,.0f}")
        return table


def forecast(
    model: Model, goal: Plan | Budget, load: Workload, on: Machine | None = None
) -> Forecast:
    """Returns what a run will take, after a probe of the machine of a few seconds.

    Args:
        model: the float model.
        goal: a resolved plan, or the budget that one will be made for.
        load: the data and the formats of the run.
        on: the machine, measured now if not given.
    """
    found = on or machine.probe(model)
    amounts, memory = _amounts(model, load, found), _memory(model, load, found)
    stages = (Stage(name, amount.on(found), memory[name]) for name, amount in amounts.items())
    size = _size(model, goal, load.options)
    return Forecast(size, found.resident_bytes, tuple(stages))


def _amounts(model: Model, load: Workload, on: Machine) -> dict[str, Work]:
    """Returns the work of each stage."""
    restored = work.restore(model.layers)
    operators = sum(node.op == "call_function" for node in model.program.graph.nodes)
    lowering = EXPORT_SECONDS + OPERATOR_SECONDS * operators
    lowering += PARAMETER_SECONDS * model.parameters
    tries = {row.id: len(load.by_layer.get(row.id, load.options)) for row in model.layers}
    probing = work.sense(
        model, tries, load.sense_batches / on.scale, on.output_elements, load.solver
    )
    measured = work.measure(on.output_elements).times(load.evaluation_batches / on.scale)
    observed = work.observe(model.layers, on.scale).times(load.calibration_batches / on.scale)
    timed = Work(forwards=2 * load.rounds * load.row / on.scale)
    opening = Work(seconds=OPEN_SECONDS * SINGLE * model.parameters)
    return {
        "calibrate": observed + work.collect(model.layers),
        "sense": probing,
        # Whatever a plan chooses was solved to be measured alone.
        "plan": measured + (restored + measured).times(load.evaluations),
        "compress": restored,
        "lower": Work(seconds=lowering),
        "pack": opening,
        # The float model is lowered too; it and the artifact are run on all held-out data.
        "bench": Work(seconds=lowering) + opening.times(3) + measured.times(2) + timed,
    }


def _size(model: Model, goal: Plan | Budget, options: Sequence[Format]) -> int:
    if isinstance(goal, Plan) and goal.choices:
        return cost.overhead(model).total + sum(choice.nbytes for choice in goal.choices)
    cap = goal.cap(model.parameters) if isinstance(goal, Budget) else None
    if cap is not None:
        return cap
    sizes = [sum(cost.layer_bytes(layer, f) for layer in model.layers) for f in options]
    return cost.overhead(model).total + round(median(sizes))


def _memory(model: Model, load: Workload, on: Machine) -> dict[str, int]:
    """Returns the bytes that each stage needs beyond the loaded model."""
    moments = work.moments(model.layers)
    entries = [work.problems(layer) * layer.cols**2 for layer in moments]
    statistics = round(sum(entries) * SINGLE / 2)
    largest_moment = max(entries, default=0)
    largest_weight = max((layer.rows * layer.cols for layer in model.layers), default=0)
    weights = sum(layer.rows * layer.cols for layer in model.layers if not layer.tied_to)
    outputs = SINGLE * on.output_elements
    recorded = load.sense_batches * _block_outputs(model)
    activation = SINGLE * on.scale * max(map(work.outputs, model.layers), default=0.0)
    changed = (
        WEIGHT_COPIES * SINGLE * largest_weight + min(largest_weight, CHUNK_VALUES) * CHUNK_BYTES
    )
    images = any(layer.convolution for layer in model.layers)
    observed = OBSERVE_IMAGE_COPIES if images else OBSERVE_COPIES
    running = round(RUN_COPIES * activation * load.evaluation_batch / on.scale)
    # The compressed module, its codes of a byte each, and their scales.
    kept = SINGLE * model.parameters + round(1.125 * weights)
    return {
        "calibrate": round(2 * statistics + UNPACK_BYTES * largest_moment + observed * activation),
        "sense": round(
            changed
            + FACTOR_COPIES * DOUBLE * largest_moment
            + outputs * load.sense_batches / on.scale
            + RUN_COPIES * activation
            + (recorded if recorded <= RECORDING_BYTES else 0)
        ),
        "plan": (kept + running) if load.evaluations else 0,
        "compress": kept + WEIGHT_COPIES * SINGLE * largest_weight,
        "lower": kept + round(GRAPH_COPIES * SINGLE * model.parameters),
        "pack": round(OPEN_COPIES * SINGLE * model.parameters),
        "bench": running + round(FLOAT_COPIES * SINGLE * model.parameters),
    }


def _block_outputs(model: Model) -> float:
    """Returns the bytes that the blocks hand on in one run on the example inputs."""
    first: dict[int, float] = {}
    for layer in model.layers:
        if layer.block is not None:
            first.setdefault(layer.block, work.positions(layer) * layer.cols)
    return SINGLE * sum(first.values())
