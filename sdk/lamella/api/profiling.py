"""`lamella profile`: where the time of an artifact goes, by layer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from lamella import atomic
from lamella.artifact import documents, reader
from lamella.progress import track
from lamella.runtime.session import load


@dataclass(frozen=True, slots=True)
class CallTime:
    """One call of a program: its operation, the layer it is of, and its median time.

    `layer` is empty for what belongs to no layer; a call for several layers names them all.
    `share` is that of the sum of all medians.
    """

    operation: str
    layer: str
    median_us: float
    share: float


def profile(file: Path, *, threads: int, rounds: int) -> list[CallTime]:
    """Runs an artifact on its canary input and times every call, in the order of the program.

    Raises:
        DeviceError: the runner of the artifact's target cannot time its calls.
    """
    inputs = dict(reader.read(file).canary.inputs)
    with load(file, threads=threads) as session:
        calls = session.calls()
        for _ in range(3):
            session.profile(inputs)
        times = [session.profile(inputs) for _ in track(range(rounds), "profile")]
    medians = 1e6 * np.median(np.array(times).reshape(rounds, len(calls)), axis=0)
    total = float(medians.sum()) or 1.0
    return [
        CallTime(operation, layer, float(median), float(median) / total)
        for (operation, layer), median in zip(calls, medians, strict=True)
    ]


def profile_table(calls: list[CallTime], most: int = 40) -> Table:
    """Returns the slowest calls for a terminal, and what all others take together."""
    total = sum(call.median_us for call in calls)
    table = Table(title=f"{len(calls)} calls, {total / 1000:.3f} ms")
    for heading in ("layer", "operation", "us", "share"):
        table.add_column(heading, justify="right" if heading in ("us", "share") else "left")
    slowest = sorted(calls, key=lambda call: -call.median_us)
    for call in slowest[:most]:
        table.add_row(call.layer, call.operation, f"{call.median_us:.1f}", f"{call.share:.1%}")
    rest = slowest[most:]
    if rest:
        others = sum(call.median_us for call in rest), sum(call.share for call in rest)
        table.add_row(f"{len(rest)} others", "", f"{others[0]:.1f}", f"{others[1]:.1%}")
    return table


def write_trace(path: Path, calls: list[CallTime]) -> None:
    """Writes the calls one after the other as a trace for chrome://tracing or Perfetto."""
    events: list[dict[str, Any]] = []
    start = 0.0
    for call in calls:
        events.append(
            {
                "name": call.layer or call.operation,
                "cat": call.operation,
                "ph": "X",
                "pid": 1,
                "tid": 1,
                "ts": start,
                "dur": call.median_us,
            }
        )
        start += call.median_us
    atomic.write(path, [documents.dump({"traceEvents": events}, str(path))])
