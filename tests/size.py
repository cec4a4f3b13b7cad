"""Prints lines per folder; fails on a file over 500 or a function over 60 lines.

Tests and tables (`.inc`) are counted but have no limit. The C++ side counts the lines between a
line that opens a body at column 0 and the `}` at column 0 that closes it.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("sdk", "targets", "calibration", "native", "samples", "tests")
MAX_FILE, MAX_FUNCTION = 500, 60


def sources(folder: str) -> Iterator[Path]:
    """Yields source files below a folder, the linked packages only once."""
    for path in sorted((ROOT / folder).rglob("*")):
        linked = any(part.is_symlink() for part in path.parents if part != ROOT)
        if path.suffix in {".py", ".pyi", ".cc", ".h", ".inc"} and not linked:
            yield path


def python_functions(text: str) -> Iterator[tuple[str, int]]:
    """Yields the name and length of every function."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            yield node.name, node.end_lineno - node.lineno + 1


def native_functions(text: str) -> Iterator[tuple[str, int]]:
    """Yields the opening line and length of every body that closes at column 0."""
    start, name = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.endswith("{") and line[:1].isalpha() and not line.startswith("namespace"):
            start, name = number, line.split("(")[0].split()[-1]
        elif line.startswith("}") and start:
            yield name, number - start + 1
            start = 0


def main() -> int:
    """Prints the table and every offence; returns the exit code."""
    lines: Counter[str] = Counter()
    offences = []
    for folder in FOLDERS:
        for path in sources(folder):
            text, where = path.read_text(), path.relative_to(ROOT)
            count = len(text.splitlines())
            lines[str(where.parent)] += count
            if folder == "tests" or path.suffix in {".inc", ".pyi"}:
                continue
            if count > MAX_FILE:
                offences.append(f"{where}: {count} lines, at most {MAX_FILE}")
            find = python_functions if path.suffix == ".py" else native_functions
            offences += [
                f"{where}: {name} has {length} lines, at most {MAX_FUNCTION}"
                for name, length in find(text)
                if length > MAX_FUNCTION
            ]
    for folder, count in sorted(lines.items()):
        print(f"{count:7,}  {folder}")
    print(f"{sum(lines.values()):7,}  in all")
    print("\n".join(offences), file=sys.stderr)
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
