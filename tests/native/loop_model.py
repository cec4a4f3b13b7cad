"""Runs a loop in llvm-mca, a model of a processor that finds everything in its first cache."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from dataclasses import dataclass

from native.loop_code import Instruction

TOOL = "llvm-mca-16"
TURNS = 200
# What is used for less of the time does not hold a loop up.
BUSY = 0.85


@dataclass(frozen=True, slots=True)
class Model:
    """`cycles` for one turn of a loop, and what limits it: ports, dispatch or waiting."""

    cycles: float
    limit: str


def run(way: list[Instruction], triple: str, processor: str) -> Model:
    """Returns what the model says of a loop whose turns follow each other."""
    text = "\n".join([".L0:", *(_assembly(one) for one in way)])
    command = [TOOL, f"-mtriple={triple}", f"-mcpu={processor}", f"-iterations={TURNS}", "-json"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{TOOL} for {processor}: {done.stderr.strip()}")
    told = json.loads(done.stdout)
    (region,) = told["CodeRegions"]
    summary = region["SummaryView"]
    cycles = summary["TotalCycles"] / TURNS
    names = told["TargetInfo"]["Resources"]
    used: Counter[str] = Counter()
    for row in region["ResourcePressureView"]["ResourcePressureInfo"]:
        # Rows of the last index are those of the whole loop.
        if row["InstructionIndex"] == len(region["Instructions"]):
            used[names[row["ResourceIndex"]]] += row["ResourceUsage"]
    used["dispatch"] = summary["TotaluOps"] / TURNS / summary["DispatchWidth"]
    return Model(cycles, _limit(used, cycles))


def _limit(used: Counter[str], cycles: float) -> str:
    most = max(used.values())
    if most < BUSY * cycles:
        return f"waits; {_short(used.most_common(1)[0][0])} {most / cycles:.0%}"
    names = [_short(name) for name, time in sorted(used.items()) if time > 0.97 * most]
    return f"{' '.join(names)} {most / cycles:.0%}"


def _short(name: str) -> str:
    """Returns the name of a port without that of the processor, and its number of several."""
    found = re.fullmatch(r"[A-Z]+\d*(Port|Unit)(\w+)(?:\.(.))?", name)
    if found is None:
        return name
    number = "" if found[3] is None else str(ord(found[3]))
    return f"{'p' if found[1] == 'Port' else ''}{found[2]}{number}"


def _assembly(one: Instruction) -> str:
    """Returns what the model reads.

    Release 16 gives a broadcast of 32 bits from memory a port for shuffles, which Intel's
    processors do in the load itself: they are loads here.
    """
    if one.jump is not None:
        return re.sub(r"[0-9a-f]+ <.*", ".L0", one.text)
    broadcast = re.match(r"vp?broadcast(?:d|ss) ([^%]*\(.*),(%[xyz]mm\d+)$", one.text)
    if broadcast:
        return f"vmovups {broadcast[1]}, {broadcast[2]}"
    return re.sub(r"<.*>", "", one.text)
