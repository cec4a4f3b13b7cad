"""`lamella bench`: an artifact on its own canary input, alone or in turns with another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from lamella.artifact import reader
from lamella.artifact.contents import Array
from lamella.benchmark import measure
from lamella.benchmark.measure import Latency
from lamella.runtime.session import Session, load


@dataclass(frozen=True, slots=True)
class Timing:
    """What one artifact takes in time, memory and bytes."""

    file: str
    baseline: str
    size_bytes: int
    peak_rss_bytes: int
    latency: Latency


def time_artifacts(file: Path, baseline: Path, *, threads: int, rounds: int) -> Timing:
    """Times `file` and `baseline` in turns, each on the canary input of `file`."""
    inputs = dict(reader.read(file).canary.inputs)
    with load(file, threads=threads) as ours, load(baseline, threads=threads) as theirs:
        found = measure.compare(
            _call(ours, inputs),
            _call(theirs, inputs),
            runtime=str(ours.manifest["target"]),
            threads=threads,
            rounds=rounds,
        )
        peak = ours.memory().peak_rss_bytes
    return Timing(str(file), str(baseline), file.stat().st_size, peak, found)


def timing_table(timing: Timing) -> Table:
    """Returns the measurement for a terminal."""
    table = Table(title=f"{timing.file}, {timing.size_bytes / 1e6:.2f} MB")
    for heading in ("", "median, ms", "p95, ms"):
        table.add_column(heading, justify="right" if heading else "left")
    found = timing.latency
    table.add_row(timing.file, f"{found.median_ms:.3f}", f"{found.p95_ms:.3f}")
    base = f"{found.baseline_median_ms:.3f}", f"{found.baseline_p95_ms:.3f}"
    table.add_row(timing.baseline, *base)
    spread = f"{found.ratio_low:.3f} to {found.ratio_high:.3f}"
    table.add_row("ratio (quartiles)", f"{found.ratio:.3f}", spread)
    table.add_row("peak RSS of the process, MB", f"{timing.peak_rss_bytes / 1e6:.0f}", "")
    return table


def _call(session: Session, inputs: Mapping[str, Array]) -> Callable[[], object]:
    return lambda: session.run(inputs)
