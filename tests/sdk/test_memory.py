"""Mirrors sdk/lamella/memory.py."""

from __future__ import annotations

import platform
import weakref

import psutil
import pytest

from lamella import memory


class Node:
    """Something that a cycle keeps alive."""

    def __init__(self) -> None:
        self.me = self


def test_cycles_are_freed() -> None:
    gone = weakref.ref(Node())
    memory.release()
    assert gone() is None


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_what_was_freed_goes_back_to_the_system() -> None:
    blocks = [bytearray(1 << 16) for _ in range(2000)]
    # Every second block stays, so that the heap cannot simply shrink at its end.
    del blocks[::2]
    kept = psutil.Process().memory_info().rss
    memory.trim()
    assert kept - psutil.Process().memory_info().rss > 20 << 20
    assert len(blocks) == 1000
