"""Other builds of linear_a8 and linear_input give the bits of the numpy reference.

A small program (probe_linear.cc) is built for arm64 and run under qemu as several processors, and
built for the host with the checks of debug builds and the sanitizers.
"""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from native.probes import ARM_COMPILER, COMPILERS, SANITIZERS, build, emulator, run_probe
from native.rows import selected

from lamella import _native
from lamella.formats import WEIGHT_BITS
from native import reference_linear as reference

OPERATIONS = ("linear_a8", "linear_input", "pack")
SHAPES = (
    (1, 1, 1),
    (8, 32, 1),
    (9, 33, 4),
    (17, 100, 9),
    (3, 129, 2),
    (16, 64, 8),
    (5, 0, 1),
    (17, 1060, 3),
)


def cases() -> Iterator[tuple[bytes, bytes, int]]:
    """Yields what the probe reads, what it must answer, and the width of the weight."""
    generator = np.random.default_rng(11)
    for bits in WEIGHT_BITS:
        for number, (rows, cols, tokens) in enumerate(SHAPES):
            group = (0, 32, 16, 64, 128)[number % 5]
            grids = (rows, -(-cols // group) if group else 1)
            codes = generator.integers(0, 1 << bits, (rows, cols), dtype=np.uint8)
            real = generator.uniform(-1, 1, grids)
            scale = real.astype(np.float16) if group else real.astype(np.float32)
            zero = generator.integers(0, 1 << bits, grids, dtype=np.uint8) if number % 2 else None
            x = generator.standard_normal((tokens, cols)).astype(np.float32)
            x[0] *= np.float32(1e-30)
            x[1:2, cols // 2 :] = np.inf
            if number == 5:  # the largest sums
                codes[::2], codes[1::2] = (1 << bits) - 1, 0
                x[:] = np.where(np.arange(tokens)[:, None] % 2, 1, -1)
            bias = generator.standard_normal(rows).astype(np.float32) if number % 3 else None
            weight = reference.Weight(bits, group, codes, scale, zero)
            flags = (zero is not None, bias is not None)
            head = struct.pack("<7I", rows, cols, bits, group, tokens, *flags)
            asked = [part.tobytes() for part in (codes, scale, zero, x, bias) if part is not None]
            answer = reference.pack(codes, bits).tobytes()
            answer += reference.linear(weight, x, bias).tobytes()
            yield b"".join([head, *asked]), answer, bits


def check(command: list[str], isa: str, folder: Path) -> None:
    asked, expected, widths = zip(*cases(), strict=True)
    path = folder / "cases"
    path.write_bytes(b"".join(asked))
    given, ran = run_probe([*command, path], isa)
    works = (work for bits in widths for work in ("linear_input", f"linear_w{bits}a8"))
    assert ran == [selected(work, isa) for work in works]
    assert given == b"".join(expected)


@pytest.mark.arm
def test_arm64_gives_the_same_bits_under_qemu(tmp_path: Path) -> None:
    newest, middle, oldest = (emulator(name) for name in ("max", "neoverse-n1", "cortex-a72"))
    program = str(build(ARM_COMPILER, tmp_path, "probe_linear", OPERATIONS, "-static"))
    for isa in ("portable", "neon", "dotprod", "i8mm"):
        check([*newest, program], isa, tmp_path)
    check([*oldest, program], "neon", tmp_path)
    for processor, isa in ((oldest, "dotprod"), (oldest, "i8mm"), (middle, "i8mm")):
        environment = {**os.environ, "LAMELLA_ISA": isa}
        command = [*processor, program, tmp_path / "cases"]
        refused = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert refused.returncode == 2
        assert b"which this processor lacks" in refused.stderr


@pytest.mark.parametrize("compiler", COMPILERS)
def test_sanitizers_find_nothing_in_any_kernel(compiler: str, tmp_path: Path) -> None:
    program = build(compiler, tmp_path, "probe_linear", OPERATIONS, *SANITIZERS)
    for isa in _native.isa_of_this_processor():
        check([str(program)], isa, tmp_path)
