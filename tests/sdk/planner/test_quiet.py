"""Mirrors sdk/lamella/planner/quiet.py."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import ctypes, os
from lamella.planner.quiet import quiet
libc = ctypes.CDLL(None)
print("before", flush=True)
with quiet():
    libc.puts(b"hidden from C")
    os.write(1, b"hidden from the kernel")
libc.puts(b"after")
libc.fflush(None)
"""


def test_only_what_is_printed_outside_reaches_standard_output() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == ["before", "after"]


def test_a_process_without_standard_output_is_served() -> None:
    script = (
        "import os, sys\nfrom lamella.planner.quiet import quiet\nos.close(1)\n"
        "with quiet(): sys.stderr.write('inside ')\nsys.stderr.write('outside ')\n"
    )
    closed = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert closed.stderr.startswith(b"inside outside ")
