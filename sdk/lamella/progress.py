"""Progress bars for long work: shown on a terminal, silent everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")


def track(items: Iterable[Item], title: str, total: int | None = None) -> Iterator[Item]:
    """Yields the items while a bar on stderr shows how many are done and the time left."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    shown = sys.stderr.isatty()
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not shown) as bar:
        yield from bar.track(items, total=total, description=title)
