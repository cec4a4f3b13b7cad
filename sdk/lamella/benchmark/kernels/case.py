"""One operation on one shape, with everything that does it: kernels and peers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np

from lamella import _native
from lamella.errors import InputError

Array = np.ndarray[Any, Any]
LINE = 64


class Kernel(Protocol):
    """What every row of a `kernels.inc` has."""

    @property
    def name(self) -> str:
        """Returns the operation and the instruction set."""

    @property
    def runs_here(self) -> bool:
        """Returns whether this processor has what it needs."""


class Runner(Kernel, Protocol):
    """A kernel with one function."""

    @property
    def run(self) -> Callable[..., object]:
        """Returns the function."""


Row = TypeVar("Row", bound=Kernel)


@dataclass(frozen=True, slots=True)
class Call:
    """`run` does an operation `count` times."""

    run: Callable[[], object]
    count: int = 1


@dataclass(frozen=True, slots=True)
class Case:
    """One operation on one shape, in one format.

    `nbytes` are those that come from memory in each call, 0 where they stay in a cache.
    `operations` are additions and multiplications, 0 where nobody counts them; `arithmetic` is then
    the `bits` of the peak that they are compared with. `kernels` are by instruction set, `peers` by
    name.
    """

    op: str
    shape: str
    format: str
    nbytes: int
    operations: int
    kernels: Mapping[str, Call]
    peers: Mapping[str, Call] = field(default_factory=dict)
    arithmetic: int = 0


def each(run: Callable[..., object], turn: Iterator[Any], *rest: object, **options: object) -> Call:
    """Returns a call of `run` that takes the next of `turn` each time."""
    return Call(lambda: run(next(turn), *rest, **options))


class Memory:
    """Room for copies that are together larger than the last cache.

    What is read in turns then comes from memory. Peers and the plain read have room of their own,
    so that nobody brings into the cache what another one reads.
    """

    def __init__(self, nbytes: int) -> None:
        """Fills the room of the peers with floats from 2^-7 to 2^-6 of either sign."""
        self._own, self._plain = _aligned(nbytes), _aligned(nbytes)
        self._plain.fill(1)
        self._peers = _aligned(nbytes)
        words = self._peers[: nbytes // 4 * 4].view(np.uint32)
        words[:] = np.random.default_rng(1).integers(0, 1 << 32, words.size, np.uint32)
        words &= 0x807FFFFF
        words |= 0x3C000000

    @property
    def nbytes(self) -> int:
        """Returns the bytes of one room."""
        return self._own.nbytes

    def copies(self, *arrays: Array) -> list[list[Array]]:
        """Returns as many copies of the arrays as there is room for; earlier ones are lost."""
        steps = [-(-array.nbytes // LINE) * LINE for array in arrays]
        self.need(sum(steps))
        found: list[list[Array]] = []
        start = 0
        for _ in range(self.nbytes // max(sum(steps), LINE)):
            found.append([])
            for array, step in zip(arrays, steps, strict=True):
                view = self._own[start : start + array.nbytes].view(array.dtype)
                found[-1].append(view.reshape(array.shape))
                found[-1][-1][...] = array
                start += step
        return found

    def peers(self, shape: Sequence[int], dtype: type, nbytes: int | None = None) -> list[Array]:
        """Returns different arrays of random numbers, about `nbytes` of them, or all there are."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self.need(size)
        count = max(1, min(self.nbytes, nbytes or self.nbytes) // size)
        parts = (self._peers[i * size : (i + 1) * size] for i in range(count))
        return [part.view(dtype).reshape(shape) for part in parts]

    def plain(self, nbytes: int) -> list[Array]:
        """Returns parts of memory that nobody else reads."""
        starts = range(0, self.nbytes - nbytes + 1, nbytes)
        return [self._plain[start : start + nbytes] for start in starts]

    def need(self, nbytes: int) -> None:
        """Raises InputError where one copy of so many bytes has no room."""
        if nbytes > self.nbytes:
            raise InputError(
                f"--shape asks for arrays of {nbytes / 1e6:,.0f} MB and the benchmark has "
                f"{self.nbytes / 1e6:,.0f} MB for them; choose a smaller one"
            )


@dataclass(frozen=True)
class Setup:
    """What all cases of a run share, for one number of threads.

    `isas` are the instruction sets to be timed; None takes all that run here but the portable one.
    Sets that LAMELLA_ISA does not allow are never timed.
    """

    memory: Memory
    threads: int
    peers: tuple[str, ...] = ()
    isas: tuple[str, ...] | None = None
    pool: _native.ThreadPool = field(init=False)

    def __post_init__(self) -> None:
        """Starts the threads."""
        object.__setattr__(self, "pool", _native.ThreadPool(self.threads))

    def choose(self, kernels: Sequence[Row], prefix: str) -> dict[str, Row]:
        """Returns the kernels `<prefix>_<isa>` that are to be timed, best first, by their set."""
        found = {
            kernel.name.removeprefix(f"{prefix}_"): kernel
            for kernel in kernels
            if kernel.runs_here and kernel.name.startswith(f"{prefix}_")
        }
        here = {isa: kernel for isa, kernel in found.items() if isa in _native.isa()}
        if self.isas is not None:
            return {isa: kernel for isa, kernel in here.items() if isa in self.isas}
        return {isa: here[isa] for isa in here if isa != "portable" or len(here) == 1}


def companion(kernels: Sequence[Row], isa: str) -> Row:
    """Returns the best of the kernels that needs nothing which the set `isa` does not have."""
    needs = {row["name"]: set(row["needs"]) for row in _native.kernels()}
    offered = set().union(*(needs[name] for name in needs if name.endswith(f"_{isa}")))
    return next(row for row in kernels if row.runs_here and needs[row.name] <= offered)


def _aligned(nbytes: int) -> Array:
    """Returns bytes that start on a line of the cache."""
    raw = np.empty(nbytes + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + nbytes]
