"""How fast `linear_w<bits>a8` is here, beside the memory's bandwidth and the portable kernel.

Weights come from memory: copies that are together larger than the last cache are read in turns.
All kernels of one case, the portable one and a plain read of memory take turns, so that their
ratios hold on a machine that others use too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.table import Table

from lamella import _native
from lamella.errors import DeviceError
from lamella.progress import track

GROUP = 32
# Tokens, columns, rows: the output layer of a small model, and layers of one with 8e9 weights.
SHAPES = ((1, 576, 49152), (1, 4096, 4096), (1, 4096, 14336), (64, 4096, 4096))
# Bytes of one plain read, longer than what a clock or the start of threads adds.
READ = 1 << 26
# The portable kernel is timed on as many rows as take about this number of products.
PRODUCTS = 1 << 21
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


@dataclass(frozen=True, slots=True)
class Speed:
    """One kernel on one shape; `low` and `high` are quartiles.

    A call quantizes its input and allocates its output. `weight_bytes` are codes and scales;
    `gigaproducts` are multiplications of a code and an input, in 10^9 a second.
    `share` is their rate over that of a plain read in the same turn, with the same threads.
    `faster` is the time of the portable kernel over this one's.
    """

    kernel: str
    tokens: int
    cols: int
    rows: int
    threads: int
    weight_bytes: int
    median_ms: float
    low_ms: float
    high_ms: float
    gigaproducts: float
    gigabytes: float
    read_gigabytes: float
    share: float
    faster: float


class Copies:
    """Weights of any width and shape at changing places of one large array of random bytes."""

    def __init__(self, size: int, seed: int) -> None:
        """Fills the arrays; `size` is the number of bytes of codes."""
        generator = np.random.default_rng(seed)
        self.codes = generator.integers(0, 256, size, dtype=np.uint8)
        # Half floats from 2^-7 to 2^-6, at most one for each 8 bytes of codes.
        scale = generator.integers(0, 1024, size // 8, dtype=np.uint16) | np.uint16(8 << 10)
        self.scale = scale.view(np.float16)
        # Memory of its own, so that a plain read brings no weights into the cache.
        self.plain = np.ones(size, np.uint8)

    def weights(self, bits: int, rows: int, cols: int) -> list[_native.LinearWeight]:
        """Returns as many different weights as there is room for."""
        strips, blocks = rows // 8, cols // 32
        shape, grids = (strips, blocks, 32 * bits), (strips, blocks, 8)
        step, scales = int(np.prod(shape)), int(np.prod(grids))
        return [
            _native.LinearWeight(
                *(rows, cols, bits, GROUP),
                self.codes[i * step : (i + 1) * step].reshape(shape),
                self.scale[i * scales : (i + 1) * scales].reshape(grids),
            )
            for i in range(len(self.codes) // step)
        ]

    def reads(self) -> Iterator[Any]:
        """Yields parts of other memory in turn, without end."""
        starts = range(0, len(self.plain) - READ + 1, READ)
        return cycle([self.plain[start : start + READ] for start in starts])


def last_cache_bytes() -> int:
    """Returns the size of the largest cache of the first processor, or 32 MiB where none says."""
    sizes = [path.read_text().strip() for path in CACHES.glob("index*/size")]
    found = [int(size[:-1]) << 10 for size in sizes if size.endswith("K")]
    return max(found, default=32 << 20)


def time_kernels(bits: Sequence[int], *, threads: Sequence[int], rounds: int) -> list[Speed]:
    """Times every kernel that runs here, for each width, shape and number of threads.

    Raises:
        DeviceError: the memory that is free does not hold weights larger than the last cache.
    """
    size = max(2 * last_cache_bytes(), 4 * READ)
    if 3 * size > psutil.virtual_memory().available:
        raise DeviceError(
            f"the benchmark needs {3 * size / 1e6:,.0f} MB of free memory, six times the last "
            "cache; close other programs"
        )
    copies = Copies(size, seed=1)
    cases = [(width, shape, count) for width in bits for shape in SHAPES for count in threads]
    found: list[Speed] = []
    for width, shape, count in track(cases, "kernels"):
        found += _time_case(copies, width, shape, count, rounds)
    return found


def _time_case(
    copies: Copies, bits: int, shape: tuple[int, int, int], threads: int, rounds: int
) -> list[Speed]:
    """Returns a row for each kernel but the portable one."""
    tokens, cols, rows = shape
    kernels = [row for row in _native.linear_a8_kernels() if row.bits == bits and row.runs_here]
    x = np.random.default_rng(2).standard_normal((tokens, cols), np.float32)
    pool = _native.ThreadPool(threads)
    weights, reads = copies.weights(bits, rows, cols), copies.reads()
    turn = cycle(weights)
    few = min(rows, max(8 * threads, PRODUCTS // (tokens * cols) // 8 * 8))
    part = copies.weights(bits, few, cols)[0]
    times = np.empty((rounds, len(kernels) + 1))
    for i in range(-2, rounds):  # two to warm up
        for k in np.roll(np.arange(len(kernels) - 1), i):
            times[i, k] = _timed(partial(kernels[k].run, next(turn), x, None, pool))
        times[i, -2] = _timed(partial(kernels[-1].run, part, x, None, pool)) * rows / few
        times[i, -1] = READ / _timed(partial(_native.read_bytes, next(reads), pool)) / 1e6
    nbytes = weights[0].codes.nbytes + weights[0].scale.nbytes
    return [
        _speed(kernel.name, shape, threads, nbytes, times[:, [k, -2, -1]])
        for k, kernel in enumerate(kernels[:-1])
    ]


def _timed(call: Callable[[], object]) -> float:
    """Returns milliseconds."""
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / 1e6


def _speed(
    kernel: str, shape: tuple[int, int, int], threads: int, nbytes: int, times: np.ndarray[Any, Any]
) -> Speed:
    """Sums up (rounds, 3) times: of the kernel and of the portable one, and read gigabytes."""
    own, slow, read = times.T
    low, median, high = np.percentile(own, (25, 50, 75))
    return Speed(
        kernel,
        *shape,
        threads=threads,
        weight_bytes=nbytes,
        median_ms=float(median),
        low_ms=float(low),
        high_ms=float(high),
        gigaproducts=np.prod(shape).item() / float(median) / 1e6,
        gigabytes=nbytes / float(median) / 1e6,
        read_gigabytes=float(np.median(read)),
        share=float(np.median(nbytes / own / 1e6 / read)),
        faster=float(np.median(slow / own)),
    )


def speed_table(rows: Sequence[Speed]) -> Table:
    """Returns one line for each kernel, shape and number of threads, for a terminal."""
    table = Table(title=f"weights w<bits>g{GROUP} from memory; ms are median (quartiles)")
    for heading in ("kernel", "tokens x cols x rows", "threads", "ms"):
        table.add_column(heading)
    for heading in ("10^9 products/s", "GB/s", "of a plain read", "faster than portable"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row.kernel,
            f"{row.tokens} x {row.cols} x {row.rows}",
            str(row.threads),
            f"{row.median_ms:.3f} ({row.low_ms:.3f} to {row.high_ms:.3f})",
            f"{row.gigaproducts:.0f}",
            f"{row.gigabytes:.1f}",
            f"{row.share:.0%} of {row.read_gigabytes:.1f}",
            f"{row.faster:.1f}x",
        )
    return table
