"""Mirrors native/base/threads.cc."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from native.probes import ARM_COMPILER, COMPILERS, SANITIZERS, build, emulator

from lamella import _native


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("flags", [("-fsanitize=thread",), SANITIZERS], ids=["thread", "address"])
def test_every_index_is_visited_once_and_without_a_race(
    flags: tuple[str, ...], compiler: str, tmp_path: Path
) -> None:
    program = build(compiler, tmp_path, "probe_threads", (), *flags)
    subprocess.run([program], check=True, timeout=120)


@pytest.mark.arm
def test_pools_work_on_arm64(tmp_path: Path) -> None:
    command = emulator("max")
    program = build(ARM_COMPILER, tmp_path, "probe_threads", (), "-static")
    subprocess.run([*command, str(program)], check=True, timeout=120)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_pool_has_the_threads_that_were_asked_for(threads: int) -> None:
    assert _native.ThreadPool(threads).threads == threads


@pytest.mark.parametrize("threads", [-1, 0, 1025])
def test_an_impossible_number_of_threads_is_refused(threads: int) -> None:
    with pytest.raises(ValueError, match=f"threads must be 1 to 1024, not {threads}"):
        _native.ThreadPool(threads)


def test_the_usable_processors_are_those_of_the_affinity_mask() -> None:
    usable = os.sched_getaffinity(0)
    assert _native.usable_processors() == len(usable)
    program = (
        "import os\n"
        f"os.sched_setaffinity(0, {{{min(usable)}}})\n"
        "from lamella import _native\n"
        "assert _native.usable_processors() == 1"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_pool_starts_no_more_threads_than_there_are_processors() -> None:
    program = (
        "import os\n"
        f"os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}})\n"
        "from lamella import _native\n"
        "before = os.listdir('/proc/self/task')\n"
        "pool = _native.ThreadPool(4)\n"
        "assert pool.threads == 4\n"
        "assert os.listdir('/proc/self/task') == before"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
