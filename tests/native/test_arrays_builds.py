"""Other builds of the operations on arrays give the bits of the numpy references.

A small program (probe_arrays.cc) is built for arm64 and run under qemu, and built for the host with
the checks of debug builds and the sanitizers.
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
from native import reference_arrays, reference_float

OPERATIONS = ("quantize", "transpose", "elementwise")
# Shapes and orders: matrices, channels last and first, merged axes, copied lines.
ORDERS = (
    ((37, 70), (1, 0)),
    ((2, 19, 5, 7), (0, 2, 3, 1)),
    ((2, 5, 7, 33), (0, 3, 1, 2)),
    ((6, 2, 5, 1, 3), (2, 0, 1, 4, 3)),
    ((3, 4, 1, 5, 2, 4), (5, 0, 4, 2, 1, 3)),
    ((17, 3, 20), (1, 0, 2)),
    ((0, 5), (1, 0)),
    ((), ()),
)
BROADCASTS = (
    ((2, 9, 33), (33,)),
    ((33,), (2, 9, 33)),
    ((5, 1, 17), (4, 1)),
    ((2, 3, 1, 5, 1, 4), (3, 2, 1, 7, 4)),
    ((), (19,)),
    ((3, 0), (1,)),
    ((), ()),
)


def quantize_cases() -> Iterator[tuple[bytes, bytes, str]]:
    """Yields what the probe reads, what it must answer, and the name of the kernel."""
    for seed, channels in enumerate((1, 3, 16, 17, 33, 40)):
        dtype = (np.uint8, np.int8)[seed % 2]
        scale, zero = reference_arrays.draw_grids(seed, channels, dtype)
        fill = (reference_float.draw, reference_float.draw_bits)[seed % 2]
        x = fill(seed, 5 + seed, channels)
        inverted = 128 * (seed % 2)
        # Kernels take the zero points of signed codes 128 higher.
        stored = zero.astype(np.float32) + np.float32(inverted)
        codes = reference_arrays.quantize(x, scale, zero)
        asked = struct.pack("<4I", 0, x.size, channels, inverted)
        asked += b"".join(part.tobytes() for part in (scale, stored, x))
        real = reference_arrays.dequantize(codes, scale, zero)
        yield asked, codes.tobytes() + real.tobytes(), "quantize"


def transpose_cases() -> Iterator[tuple[bytes, bytes, str]]:
    """Yields the same for elements of 1, 2 and 4 bytes."""
    for seed, (shape, order) in enumerate(3 * ORDERS):
        dtype = np.dtype((np.uint8, np.uint16, np.uint32)[seed % 3])
        items = int(np.prod(shape)) * dtype.itemsize
        x = np.frombuffer(np.random.default_rng(seed).bytes(items), dtype).reshape(shape)
        head = (1, dtype.itemsize, len(shape), *shape, *order)
        asked = struct.pack(f"<{len(head)}I", *head) + x.tobytes()
        yield asked, np.transpose(x, order).tobytes(), "transpose"


def broadcast_cases() -> Iterator[tuple[bytes, bytes, str]]:
    """Yields the same for the difference of two arrays."""
    for seed, (left, right) in enumerate(BROADCASTS):
        a, b = reference_float.draw(seed, *left), reference_float.draw(seed + 9, *right)
        axes = max(a.ndim, b.ndim)
        filled = [(1,) * (axes - x.ndim) + x.shape for x in (a, b)]
        asked = struct.pack(f"<{2 + 2 * axes}I", 2, axes, *filled[0], *filled[1])
        yield asked + a.tobytes() + b.tobytes(), (a - b).tobytes(), "elementwise"


def check(command: list[str], isa: str, folder: Path) -> None:
    cases = (*quantize_cases(), *transpose_cases(), *broadcast_cases())
    asked, expected, names = zip(*cases, strict=True)
    path = folder / "cases"
    path.write_bytes(b"".join(asked))
    given, ran = run_probe([*command, path], isa)
    assert ran == [selected(name, isa) for name in names]
    assert given == b"".join(expected)


@pytest.mark.arm
def test_arm64_gives_the_same_bits_under_qemu(tmp_path: Path) -> None:
    command = emulator("max")
    program = build(ARM_COMPILER, tmp_path, "probe_arrays", OPERATIONS, "-static")
    for isa in ("portable", "neon"):
        check([*command, str(program)], isa, tmp_path)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_sanitizers_find_nothing_in_any_kernel(compiler: str, tmp_path: Path) -> None:
    program = build(compiler, tmp_path, "probe_arrays", OPERATIONS, *SANITIZERS)
    for isa in _native.isa_of_this_processor():
        check([str(program)], isa, tmp_path)
