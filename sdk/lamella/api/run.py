"""A run of `optimize`: what was asked for, what it works on, and how long its stages take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lamella import memory
from lamella.api.job import Job
from lamella.api.options import Options
from lamella.benchmark import measure
from lamella.frontend.model import Model
from lamella.planner.spec import Budget, Plan
from lamella.targets.target import Target


@dataclass(frozen=True, slots=True)
class Request:
    """What `optimize` is asked for.

    `spec` is a Python spec, a Hugging Face folder or a GGUF file; `text` goes with the last two.
    `budget` says what the result must keep to; `recipe` is a path or the name of a shipped
    recipe. `points` is the number of plans on the measured front, 0 for none.
    """

    spec: str
    target: str
    out: Path
    budget: Budget
    recipe: str = "balanced"
    text: Path | None = None
    points: int = 8
    rounds: int = 30
    command: str = ""


@dataclass(slots=True)
class Run:
    """One run: what it works on, and the seconds and the largest memory that each stage took."""

    request: Request
    target: Target
    recipe: Plan
    options: Options
    work: Path
    job: Job
    tell: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)

    @property
    def model(self) -> Model:
        """The float model, prepared."""
        return self.job.model

    @contextmanager
    def stage(self, name: str, part: str = "") -> Iterator[None]:
        """Says when a stage, or a part of it, starts and ends; notes its time and memory."""
        title = f"{name}, {part}" if part else name
        self.tell(f"{title} ...")
        start = time.monotonic()
        memory.release()
        measure.reset_peak()
        yield
        spent = time.monotonic() - start
        self.seconds[name] = self.seconds.get(name, 0.0) + spent
        self.peaks[name] = max(self.peaks.get(name, 0), measure.peak_rss_bytes())
        self.tell(f"{title}: {spent:.1f} s")
