"""Which kernels this build has, which of them run on this processor, and why the others do not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamella import _native

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel of the build.

    `work` is what it computes: the operation, and the width of weights where it has several;
    kernels of equal `work` give the same bits. `needs` are features of the processor. `reason` is
    empty for the kernel that runs, and says of any other why it does not.
    """

    operation: str
    work: str
    name: str
    needs: tuple[str, ...]
    runs: bool
    reason: str


def kernels() -> list[Kernel]:
    """Returns every kernel of this build; those of one work stand together, best first."""
    best: dict[str, str] = {}
    found = []
    for row in _native.kernels():
        name = row["name"]
        work = name.rpartition("_")[0]
        if row["lacks"]:
            reason = f"this processor lacks {', '.join(row['lacks'])}"
        elif not row["allowed"]:
            reason = f"LAMELLA_ISA is {os.environ.get('LAMELLA_ISA')}"
        elif work in best:
            reason = f"{best[work]} is better"
        else:
            best[work], reason = name, ""
        needs = tuple(row["needs"])
        found.append(Kernel(row["operation"], work, name, needs, not reason, reason))
    # One stable order: operations as they are bound, works as they first appear.
    order = {kernel.work: place for place, kernel in reversed(list(enumerate(found)))}
    return sorted(found, key=lambda kernel: order[kernel.work])


def kernel_table(rows: Sequence[Kernel]) -> Table:
    """Returns one line for each kernel, for a terminal."""
    from rich.table import Table

    table = Table(title=f"instruction sets in use: {', '.join(_native.isa())}")
    for heading in ("operation", "kernel", "needs", ""):
        table.add_column(heading)
    above = ""
    for row in rows:
        first = row.operation if row.operation != above else ""
        above = row.operation
        state = "[bold]runs[/bold]" if row.runs else row.reason
        table.add_row(first, row.name, ", ".join(row.needs), state)
    return table
