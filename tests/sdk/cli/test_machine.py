"""Mirrors sdk/lamella/cli/machine.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from lamella.cli.entry import app
from lamella.runtime import inventory


def said(*argv: str) -> str:
    result = CliRunner().invoke(app, list(argv), env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code == 0
    return result.output


@pytest.mark.smoke
def test_kernels_lists_every_kernel_and_what_keeps_it_from_running() -> None:
    lines = said("kernels").splitlines()
    for kernel in inventory.kernels():
        line = next(line for line in lines if f" {kernel.name} " in line)
        assert (kernel.reason or "runs") in line


def test_json_has_the_same_rows() -> None:
    rows = json.loads(said("kernels", "-o", "json"))
    kernels = inventory.kernels()
    assert [row["name"] for row in rows] == [kernel.name for kernel in kernels]
    assert [row["runs"] for row in rows] == [kernel.runs for kernel in kernels]


def test_help_shows_an_example() -> None:
    text = " ".join(said("kernels", "--help").split())
    assert "Example: LAMELLA_ISA=avx2 lamella kernels -o json" in text


def test_a_set_that_does_not_exist_is_an_error_of_the_device() -> None:
    environment = {**os.environ, "LAMELLA_ISA": "avx1024"}
    command = [sys.executable, "-m", "lamella.cli", "kernels"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 10
    assert done.stderr.startswith(
        'DeviceError: LAMELLA_ISA is "avx1024", which is none of portable'
    )
    assert done.stderr.count("\n") == 1
