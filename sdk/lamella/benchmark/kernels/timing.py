"""Times kernels, peers and the limits of the machine in turns, and sums up each kernel in a row.

The limits are a plain read of memory and the arithmetic of the kernel's instruction set.

Everything in a case takes turns, so that ratios hold on a machine that others use too. A turn
shorter than `TURN_US` is filled with more calls, so that clocks and sleeping threads do not count.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle
from math import ceil
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from lamella import _native
from lamella.benchmark.kernels.case import Array, Call, Case, Memory, Setup
from lamella.benchmark.kernels.peaks import peak

TURN_US = 2000
WARM_UP = 2
# Bytes of one plain read, longer than what a clock or the start of threads adds.
READ = 1 << 26
# Everyone that a kernel is compared with: time of the other over time of the kernel.
OTHERS = ("onnxruntime", "onnxruntime_fp32", "torch", "llamacpp", "llamacpp_k", "dense")


@dataclass(frozen=True, slots=True)
class Speed:
    """One kernel in one case: a row of the table.

    `spread` is the distance of the quartiles over the median. `bandwidth_fraction` is the rate
    over that of a plain read in the same turn, with the same threads. `gops` are 10^9 additions
    and multiplications a second, `arithmetic_fraction` is their rate over that of the peak of the
    same instruction set and kind of numbers, in the same way. A ratio is the median over turns of
    the other's time over this one's: above 1, this one is faster. None stands for what does not
    apply. `machine` is the set beyond which kernels and peers saw nothing of this processor, native
    where they saw all of it.
    """

    op: str
    shape: str
    format: str
    isa: str
    threads: int
    median_us: float
    spread: float
    gbps: float | None
    bandwidth_fraction: float | None
    gops: float | None
    arithmetic_fraction: float | None
    ratios: dict[str, float] = field(default_factory=dict)
    machine: str = field(default_factory=lambda: _native.hidden_beyond() or "native")

    def flat(self) -> dict[str, Any]:
        """Returns the row for JSON, each ratio as `ratio_<other>`."""
        row = asdict(self)
        ratios = row.pop("ratios")
        return row | {f"ratio_{other}": ratios.get(other) for other in OTHERS}


def time_case(case: Case, setup: Setup, rounds: int) -> list[Speed]:
    """Returns a row for each kernel of the case."""
    calls = dict(case.kernels) | {f"peer {name}": call for name, call in case.peers.items()}
    if case.nbytes:
        calls["read"] = plain_read(setup.memory, setup.pool)
    limits = {
        isa: peak(case.arithmetic, isa, setup.pool) for isa in case.kernels if case.operations
    }
    calls |= dict(limits.values())
    times = dict(zip(calls, take_turns(list(calls.values()), rounds).T, strict=True))
    others = {name: times[f"peer {name}"] for name in case.peers}
    most = {isa: times[name] for isa, (name, _) in limits.items()}
    return [
        sum_up(case, isa, setup.threads, times[isa], (times.get("read"), most.get(isa)), others)
        for isa in case.kernels
    ]


def plain_read(memory: Memory, pool: _native.ThreadPool) -> Call:
    """Returns a call that reads `READ` bytes of memory, others each time."""
    parts = cycle(memory.plain(READ))
    return Call(lambda: _native.read_bytes(next(parts), pool))


def take_turns(calls: Sequence[Call], rounds: int) -> Array:
    """Returns (rounds, calls) microseconds of one call each; another one begins each round."""
    repeats = [1] * len(calls)
    times = np.empty((rounds, len(calls)))
    for i in range(-WARM_UP, rounds):
        for k in np.roll(np.arange(len(calls)), i).tolist():
            taken = _timed(calls[k], repeats[k])
            if i < 0:
                repeats[k] = max(1, ceil(TURN_US / taken / calls[k].count))
            else:
                times[i, k] = taken
    return times


def _timed(call: Call, repeats: int) -> float:
    """Returns microseconds for each time that the operation is done."""
    run = call.run
    start = time.perf_counter_ns()
    for _ in range(repeats):
        run()
    return (time.perf_counter_ns() - start) / 1e3 / repeats / call.count


def sum_up(
    case: Case,
    isa: str,
    threads: int,
    own: Array,
    limits: tuple[Array | None, Array | None],
    others: dict[str, Array],
) -> Speed:
    """Makes a row of (rounds,) microseconds: the kernel's, of the limits, and of the peers.

    The limits are those of reading `READ` bytes and of one operation.
    """
    read, operation = limits
    low, median, high = np.percentile(own, (25, 50, 75)).tolist()
    fraction = None if read is None else np.median(case.nbytes / own / (READ / read)).item()
    most = None if operation is None else np.median(case.operations * operation / own).item()
    return Speed(
        *(case.op, case.shape, case.format, isa, threads),
        median_us=median,
        spread=(high - low) / median,
        gbps=case.nbytes / median / 1e3 if case.nbytes else None,
        bandwidth_fraction=fraction,
        gops=case.operations / median / 1e3 if case.operations else None,
        arithmetic_fraction=most,
        ratios={name: np.median(other / own).item() for name, other in others.items()},
    )


def speed_table(rows: Sequence[Speed]) -> Table:
    """Returns one line for each row, for a terminal, with the columns that say anything."""
    table = Table(
        title="microseconds; for others, how many times as long they take",
        box=box.SIMPLE,
        pad_edge=False,
        collapse_padding=True,
    )
    for heading in ("op", "shape", "format", "isa", "threads"):
        table.add_column(heading, no_wrap=True)
    others = [name for name in OTHERS if any(name in row.ratios for row in rows)]
    headings = ("median", "spread", "GB/s", "of a\nread", "10^9\nop/s", "of the\npeak", *others)
    for heading in headings:
        table.add_column(heading.replace("_", "\n"), justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            *(row.op, row.shape, row.format, row.isa, str(row.threads)),
            f"{row.median_us:,.1f}",
            f"{row.spread:.0%}",
            _cell("{:.1f}", row.gbps),
            _cell("{:.0%}", row.bandwidth_fraction),
            _cell("{:.0f}", row.gops),
            _cell("{:.0%}", row.arithmetic_fraction),
            *(_cell("{:.2f}x", row.ratios.get(name)) for name in others),
        )
    return table


def _cell(form: str, value: float | None) -> str:
    return "" if value is None else form.format(value)
