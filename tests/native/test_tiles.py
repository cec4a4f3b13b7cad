"""A few of the random tiles of `make test-long`: see tiles.py."""

from __future__ import annotations

from pathlib import Path

from native.probes import SANITIZERS
from native.tiles import OPERATIONS, compared, program

from lamella import _native


def test_integer_dots_are_exact_on_random_tiles(tmp_path: Path) -> None:
    # The flags of the other builds, which share what they compile.
    given = compared([program("g++", tmp_path, *SANITIZERS)], 3000)
    rows = [row for row in _native.kernels() if row["operation"] in OPERATIONS]
    wanted = [row for row in rows if row["operation"] != "linear_input"]
    assert set(given) == {row["name"] for row in wanted}
    for row in wanted:
        assert (given[row["name"]] == "untested") != row["allowed"]
