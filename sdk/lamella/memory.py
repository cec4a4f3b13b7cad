"""Memory that a stage freed goes back to the system, so that the next one starts from there."""

from __future__ import annotations

import contextlib
import ctypes
import gc


def trim() -> None:
    """Hands freed memory back where the C library keeps it (glibc); elsewhere does nothing.

    The heap keeps freed blocks of up to 32 MB. After a model is loaded they can be as large as
    the model itself.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def release() -> None:
    """Frees what only cycles hold, which takes up to a second, and trims."""
    gc.collect()
    trim()
