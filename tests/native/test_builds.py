"""Other builds of native/base and native/kernels give the bytes of the numpy reference.

A small program (probe.cc) is built for arm64 and run under qemu, and built for the host with the
checks of debug builds and the sanitizers, which see reads and writes outside the buffers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from native.probes import ARM_COMPILER, COMPILERS, SANITIZERS, build, emulator, run_probe
from native.rows import selected

from lamella import _native
from lamella.formats import WEIGHT_BITS
from native import reference

SHAPES = ((1, 1), (3, 8), (2, 31), (3, 33), (4, 64), (2, 100), (3, 129), (5, 576), (0, 4), (2, 0))


def cases() -> Iterator[tuple[bytes, bytes]]:
    """Yields what the probe reads and what it must answer."""
    generator = np.random.default_rng(7)
    for bits in (1, *WEIGHT_BITS):
        for rows, cols in SHAPES:
            group = 16 if rows % 2 else 64
            codes = generator.integers(0, 1 << bits, (rows, cols), dtype=np.uint8)
            mask = generator.random((rows, cols)) < 0.6
            zero = generator.integers(0, 1 << bits, (rows, -(-cols // group)), dtype=np.uint8)
            bitmap = reference.pack(mask.astype(np.uint8), 1)
            kept = reference.compact(codes, mask)
            head = struct.pack("<5I", rows, cols, bits, group, len(kept))
            restored = reference.expand(kept, mask, zero, group)
            parts = (reference.pack(codes, bits), codes, kept, restored)
            asked = head + codes.tobytes() + bitmap.tobytes() + zero.tobytes()
            yield asked, b"".join(part.tobytes() for part in parts)


def check(command: list[str], isa: str, folder: Path) -> None:
    asked, expected = zip(*cases(), strict=True)
    path = folder / "cases"
    path.write_bytes(b"".join(asked))
    given, ran = run_probe([*command, path], isa)
    assert ran == len(expected) * [selected("pack", isa)]
    assert given == b"".join(expected)


@pytest.mark.arm
def test_arm64_gives_the_same_bytes_under_qemu(tmp_path: Path) -> None:
    command = emulator("max")
    program = build(ARM_COMPILER, tmp_path, "probe", ("pack",), "-static")
    check([*command, str(program)], "portable", tmp_path)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_sanitizers_find_nothing_in_any_kernel(compiler: str, tmp_path: Path) -> None:
    program = build(compiler, tmp_path, "probe", ("pack",), *SANITIZERS)
    for isa in _native.isa_of_this_processor():
        check([str(program)], isa, tmp_path)
