"""Writes vectors.tsv: what every kernel of every build must give, by the portable ones of this.

`make vectors` runs it, after a change of a contract or with a new operation.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from native.probes import HERE, build, run_probe

FILE = HERE / "vectors.tsv"
HEADING = "operation\tshape\tseed\thash\n"


def program(compiler: str, folder: Path, *flags: str) -> Path:
    """Builds the probe that prints the vectors; it has every kernel."""
    return build(compiler, folder, "probe_vectors", ("*",), *flags)


def answer(command: list[str | Path], cases: str, isa: str) -> tuple[list[str], list[str]]:
    """Returns the lines that the probe prints with an instruction set, and its kernels."""
    lines, kernels = run_probe([*command, cases], isa)
    return lines.decode().splitlines(), kernels


def main() -> None:
    """Writes the file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "vectors"
        folder.mkdir()
        lines, _ = answer([program("g++", folder)], "all", "portable")
    FILE.write_text(HEADING + "".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main()
