"""Silence for native code that prints: stdout may be carrying JSON for another program."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Drops whatever is written to the process's standard output, from Python or from C.

    HiGHS 1.12 prints a line of its own debugging when it repairs a solution, with display off.
    """
    try:
        saved = os.dup(1)
    except OSError:
        # The process has no standard output, so nothing can appear on it.
        yield
        return
    sys.stdout.flush()
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 1)
    try:
        yield
    finally:
        # C buffers its output: what is not flushed now would appear later.
        ctypes.CDLL(None).fflush(None)
        os.dup2(saved, 1)
        os.close(saved)
