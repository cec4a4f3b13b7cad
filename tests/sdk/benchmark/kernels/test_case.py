"""Mirrors sdk/lamella/benchmark/kernels/case.py."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from lamella import _native
from lamella.benchmark.kernels.case import Memory, Setup, companion, each
from lamella.errors import InputError


def test_copies_are_equal_and_share_no_byte() -> None:
    codes = np.arange(1000, dtype=np.uint8)
    scale = np.arange(30, dtype=np.float16).reshape(5, 6)
    copies = Memory(10_000).copies(codes, scale)
    assert len(copies) == 10_000 // (1024 + 64)
    for copy in copies:
        np.testing.assert_array_equal(copy[0], codes, strict=True)
        np.testing.assert_array_equal(copy[1], scale, strict=True)
        assert all(part.ctypes.data % 64 == 0 for part in copy)
    for one, other in pairwise(part for copy in copies for part in copy):
        assert not np.shares_memory(one, other)


def test_peers_get_different_numbers_that_are_neither_huge_nor_tiny() -> None:
    memory = Memory(10_000)
    arrays = memory.peers((5, 20), np.float32)
    assert len(arrays) == 10_000 // 400
    assert not np.array_equal(arrays[0], arrays[1])
    sizes = np.abs(np.stack(arrays))
    assert sizes.min() >= 2**-7
    assert sizes.max() < 2**-6
    assert len(memory.peers((5, 20), np.uint8, 250)) == 2
    assert not any(np.shares_memory(array, memory.plain(4096)[0]) for array in arrays)


def test_a_shape_without_room_is_refused() -> None:
    with pytest.raises(InputError, match="arrays of 2 MB and the benchmark has 1 MB"):
        Memory(1_000_000).copies(np.zeros(2_000_000, np.uint8))


def test_a_call_takes_the_next_of_its_turn() -> None:
    seen: list[tuple[int, str]] = []
    call = each(lambda one, other: seen.append((one, other)), iter([1, 2]), "x")
    call.run()
    call.run()
    assert seen == [(1, "x"), (2, "x")]


def test_kernels_are_chosen_by_operation_and_instruction_set(setup: Setup) -> None:
    every = _native.linear_a8_kernels()
    allowed = {row["name"] for row in _native.kernels() if row["allowed"]}
    here = [row.name for row in every if row.name in allowed and row.bits == 4]
    fast = [name for name in here if not name.endswith("portable")] or here
    assert [row.name for row in setup.choose(every, "linear_w4a8").values()] == fast
    only = Setup(setup.memory, 1, isas=("portable",)).choose(every, "linear_w4a8")
    assert {isa: row.name for isa, row in only.items()} == {"portable": "linear_w4a8_portable"}


def test_a_companion_needs_nothing_more() -> None:
    kernels = _native.depthwise_a8_kernels()
    assert companion(kernels, "portable").name == "depthwise_w8a8_portable"
    best = next(row for row in _native.conv2d_a8_kernels() if row.runs_here)
    assert companion(kernels, best.name.rpartition("_")[2]).runs_here
