"""What this machine can do, measured in a few seconds, for the forecast of a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
import torch

from lamella.calibration import data
from lamella.calibration.capture import call, quiet
from lamella.calibration.data import Batch
from lamella.frontend.model import Model
from lamella.threads import one_thread

# Each probe repeats until this much time has passed, and keeps its fastest run.
PROBE_SECONDS = 0.5

_SIDE = 512
_ELEMENTS = 1 << 20


@dataclass(frozen=True, slots=True)
class Machine:
    """Rates of this process with its present number of threads, and what the model takes.

    `single` and `double` are FLOPs per second of a matrix product in float32 and float64,
    `elements` and `steps` how many values per second are scaled, rounded and clipped; `double`
    and `steps` are those of one thread, as solvers work. `forward_seconds` is
    one run of the model on a batch, `output_elements` the number of values it returns, and
    `scale` the size of the batch in units of the example inputs. `resident_bytes` is the memory
    of the process now, with the model loaded.
    """

    single: float
    double: float
    elements: float
    steps: float
    forward_seconds: float
    output_elements: int
    scale: float
    resident_bytes: int


def probe(model: Model, batch: Any = None) -> Machine:
    """Measures this machine, and the model on a batch, or on its example inputs if none is given.

    Raises:
        CalibrationError: the batch does not fit the model.
    """
    example = Batch(tuple(model.args), dict(model.kwargs), None, 0)
    given = example if batch is None else data.read(batch, model.module, 0)
    matrix = torch.ones(_SIDE, _SIDE)
    wide = matrix.double()
    values = torch.ones(_ELEMENTS)
    product = 2 * _SIDE**3

    def step() -> object:
        return (values * 1.5).round_().clamp_(0, 15)

    with one_thread():
        double = product / fastest(lambda: wide @ wide)
        steps = _ELEMENTS / fastest(step)
    with quiet(model.module):
        output = call(model, given, 0)
        return Machine(
            single=product / fastest(lambda: matrix @ matrix),
            double=double,
            elements=_ELEMENTS / fastest(step),
            steps=steps,
            forward_seconds=fastest(lambda: call(model, given, 0)),
            output_elements=_elements(output),
            scale=_inputs(given) / max(_inputs(example), 1),
            resident_bytes=psutil.Process().memory_info().rss,
        )


def fastest(run: Callable[[], Any]) -> float:
    """Returns the seconds of the fastest of the runs that fit into PROBE_SECONDS, at least two."""
    times: list[float] = []
    while len(times) < 2 or sum(times) < PROBE_SECONDS:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def _inputs(batch: Batch) -> int:
    values = (*batch.args, *batch.kwargs.values())
    return sum(value.numel() for value in values if isinstance(value, torch.Tensor))


def _elements(output: Any) -> int:
    if isinstance(output, torch.Tensor):
        return output.numel() if output.is_floating_point() else 0
    if isinstance(output, dict):
        return sum(map(_elements, output.values()))
    return sum(map(_elements, output)) if isinstance(output, (tuple, list)) else 0
