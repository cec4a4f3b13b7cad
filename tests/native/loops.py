"""Prints the inner loops of kernels, counted, and how fast a model of a processor runs them.

`make kernel-loops` runs this. It compiles what it needs in build/loops-*, or in the folders of
other builds that are named: first one for x86-64, then one for arm64.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from native.loop_code import REGISTER_BYTES, Instruction
from native.loop_rows import ARM, X86, Row, rows
from native.probes import ARM_COMPILER, NATIVE

from native import loop_build, loop_code, loop_model

OBJDUMP = {X86: "objdump", ARM: "aarch64-linux-gnu-objdump"}
# Release 16 of the model has the ports of Skylake-X for the first, and a table of its own for the
# second; for Neoverse N1 it has that of a much older core.
PROCESSOR = {X86: "sapphirerapids", ARM: "neoverse-n2"}
# The first processors with AVX2 multiply at one port.
OLD = "haswell"
PACKAGES = {
    loop_model.TOOL: "llvm-16",
    OBJDUMP[X86]: "binutils",
    OBJDUMP[ARM]: "binutils-aarch64-linux-gnu",
}
KINDS = ("load", "multiply", "add", "other", "scalar")
HEADINGS = ("kernel", "model", "all", *KINDS, "products", "cycles", "products / cycle")
MORE = ("of the peak", "bytes / cycle", "limit")


def products(row: Row, one: Instruction) -> float:
    """Returns how many products of a kernel an instruction makes."""
    name, each = row.multiply
    if not re.match(name, one.text):
        return 0.0
    wide = re.search("%([xyz])mm", one.text)
    # Of half a register of arm64, all bytes are multiplied; `smlal` takes no more than that.
    return row.share * each * (REGISTER_BYTES[wide[1]] if wide else 16)


def hot_loop(row: Row, path: Path) -> list[Instruction]:
    """Returns the loop of a row: the most that multiply, then the fewest instructions."""
    found = [
        way
        for name, code in disassembled(OBJDUMP[row.triple], path).items()
        if re.search(row.function, name)
        for way in loop_code.loops(code)
    ]
    name = row.multiply[0]
    counted = [
        (sum(bool(re.match(name, one.text)) for one in way), -len(way), way) for way in found
    ]
    most = max(counted, default=(0, 0, []), key=lambda each: each[:2])
    if most[0] == 0:
        raise SystemExit(f"{path} has no loop with {name} in a function like {row.function}")
    return most[2]


@cache
def disassembled(tool: str, path: Path) -> dict[str, list[Instruction]]:
    """Returns the functions of an object file, read once."""
    return loop_code.functions(tool, path)


def lines(folder: Path, triple: str) -> Iterator[list[str]]:
    """Yields the cells of each row for a processor."""
    wanted = [row for row in rows() if row.triple == triple]
    sources = sorted({row.source for row in wanted})
    objects = loop_build.objects(folder, triple, sources)
    rates: dict[tuple[str, str], float] = {}
    for row in wanted:
        way = hot_loop(row, objects[row.source])
        counts = [sum(one.kind == kind for one in way) for kind in KINDS]
        made, read = sum(products(row, one) for one in way), sum(one.bytes for one in way)
        for processor in (PROCESSOR[triple], *([OLD] if row.isa == "avx2" else [])):
            model = loop_model.run(way, triple, processor)
            name, rate = f"{row.title}, {row.isa}", made / model.cycles
            rates[name, processor] = rate
            share = f"{rate / rates[row.compared, processor]:.0%}" if made else ""
            yield [
                *(name, processor, *map(str, (len(way), *counts)), f"{made:.0f}"),
                *(f"{model.cycles:.1f}", f"{rate:.1f}", share, f"{read / model.cycles:.0f}"),
                model.limit,
            ]


def main() -> None:
    """Prints a table in Markdown."""
    folders = {X86: NATIVE.parent / "build/loops-x86_64"}
    if shutil.which(ARM_COMPILER) is None:
        print(f"{ARM_COMPILER} is not installed: no loops of arm64", file=sys.stderr)
    else:
        folders[ARM] = NATIVE.parent / "build/loops-aarch64"
    folders |= dict(zip((X86, ARM), map(Path, sys.argv[1:]), strict=False))
    for tool in (loop_model.TOOL, *(OBJDUMP[triple] for triple in folders)):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is not installed; install {PACKAGES[tool]}")
    headings = (*HEADINGS, *MORE)
    print(f"| {' | '.join(headings)} |\n|{'---|' * len(headings)}")
    for triple, folder in folders.items():
        for cells in lines(folder, triple):
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
