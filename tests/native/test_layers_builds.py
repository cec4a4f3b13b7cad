"""Other builds of the layers in OPERATIONS give the bits of the numpy references.

A small program (probe_layers.cc) is built for arm64 and run under qemu, and built for the host with
the checks of debug builds and the sanitizers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from native.probes import ARM_COMPILER, COMPILERS, SANITIZERS, build, emulator, run_probe
from native.reference_float import Float
from native.reference_layers import Axis
from native.reference_linear import Weight, pack, pack_grids
from native.rows import selected
from native.windows import WINDOWS

from lamella import _native
from native import reference_float, reference_layers, reference_linear, reference_sparse

OPERATIONS = ("linear_float", "conv2d_f32", "depthwise_f32", "pool2d", "sparse_linear_a8")
OPERATIONS += ("linear_input",)
NAMES = ("f32", "f16", "w4f32", "w8f32")
SHAPES = ((1, 1, 1), (8, 32, 2), (9, 33, 4), (70, 41, 6), (17, 6, 13), (33, 64, 5), (3, 0, 1))


def stored(name: str, number: int, rows: int, cols: int) -> tuple[list[bytes], Float, int]:
    """Returns the arrays of a packed weight, its numbers and its group."""
    if name == "f32":
        numbers = reference_float.draw(number, rows, cols)
        return [pack_grids(numbers, 0).tobytes()], numbers, 0
    if name == "f16":
        halves = reference_float.draw(number, rows, cols).astype(np.float16)
        return [pack_grids(halves, 0).tobytes()], halves.astype(np.float32), 0
    generator = np.random.default_rng(number)
    bits, group = (4 if name == "w4f32" else 8), (0, 32, 16, 64, 128)[number % 5]
    grids = (rows, -(-cols // group) if group else 1)
    codes = generator.integers(0, 1 << bits, (rows, cols), dtype=np.uint8)
    scale = generator.uniform(-1, 1, grids).astype(np.float16 if group else np.float32)
    zero = generator.integers(0, 1 << bits, grids, dtype=np.uint8) if number % 2 else None
    parts = [pack(codes, bits), pack_grids(scale, group)]
    parts += [] if zero is None else [pack_grids(zero, group)]
    weight = Weight(bits, group, codes, scale, zero)
    return [part.tobytes() for part in parts], reference_layers.decode(weight), group


def linear_cases() -> Iterator[tuple[bytes, bytes, str]]:
    """Yields what the probe reads, what it must answer, and the name of the kernel."""
    for kind, name in enumerate(NAMES):
        for number, (rows, cols, tokens) in enumerate(SHAPES):
            packed, numbers, group = stored(name, number, rows, cols)
            x = reference_float.draw(number, tokens, cols)
            x[-1, cols // 2 :] = np.inf
            bias = reference_float.draw(number, rows) if number % 2 else None
            after = number % len(reference_layers.ACTIVATIONS)
            numbers_of_case = (rows, cols, kind, group, tokens, after, number % 2)
            inputs = [part.tobytes() for part in (x, bias) if part is not None]
            activation = list(reference_layers.ACTIVATIONS)[after]
            expected = reference_layers.linear(numbers, x, bias, activation)
            yield (
                b"".join([struct.pack("<8I", 0, *numbers_of_case), *packed, *inputs]),
                expected.tobytes(),
                f"linear_{name}",
            )


def head(down: Axis, across: Axis, x: Float, *numbers: int) -> bytes:
    """Returns the numbers of a case, with those of both axes of its window."""
    axes = [
        (size, axis.outputs(size), axis.kernel, axis.stride, axis.dilation, axis.before)
        for size, axis in zip(x.shape[1:3], (down, across), strict=True)
    ]
    return struct.pack(f"<{len(numbers) + 12}I", *numbers, *axes[0], *axes[1])


def conv_cases() -> Iterator[tuple[bytes, bytes, str]]:
    """Yields the same for the two convolutions."""
    for number, (down, across) in enumerate(WINDOWS):
        groups = (1, 2, 1)[number % 3]
        outputs, channels = ((70, 18), (18, 4), (9, 2))[number % 3]
        x = reference_float.draw(number, 2, 6, 17, channels)
        x[1, 2, 3] = np.inf
        bias = reference_float.draw(number, outputs)
        weight = reference_float.draw(
            number, outputs, down.kernel, across.kernel, channels // groups
        )
        sums = reference_layers.convolve(weight, groups, down, across, x)
        parts = (_native.pack_conv2d_f32(weight, groups).values, x, bias)
        yield (
            head(down, across, x, 1, 2, groups, channels, outputs)
            + b"".join(part.tobytes() for part in parts),
            reference_layers.bounded(sums, bias, -1.5, 6.0).tobytes(),
            "conv2d_f32",
        )
        each = reference_float.draw(number, down.kernel, across.kernel, channels)
        sums = reference_layers.depthwise(each, down, across, x)
        yield (
            head(down, across, x, 1, 2, 0, channels, channels)
            + b"".join(part.tobytes() for part in (each, x, bias[:channels])),
            reference_layers.bounded(sums, bias[:channels], -1.5, 6.0).tobytes(),
            "depthwise_f32",
        )


def pool_cases() -> Iterator[tuple[bytes, bytes, str]]:
    """Yields the same for the kinds of pools."""
    down, across = Axis(3, 2, 1, 1), Axis(2, 1, 0, 1)
    for channels in (1, 16, 19):
        x = reference_float.draw_bits(channels, 2, 5, 6, channels)
        expected = (
            reference_layers.average(down, across, x, with_padding=False),
            reference_layers.average(down, across, x, with_padding=True),
            reference_layers.maximum(down, across, x),
        )
        for kind, result in enumerate(expected):
            asked = head(down, across, x, 2, 2, kind, channels) + x.tobytes()
            yield asked, result.tobytes(), "pool2d"


def sparse_cases() -> Iterator[tuple[bytes, bytes, str]]:
    """Yields the same for sparse weights with zero points."""
    for number, (rows, cols, tokens) in enumerate(SHAPES):
        generator = np.random.default_rng(number)
        bits, group = (4, 8)[number % 2], (32, 16, 64, 128)[number % 4]
        grids = (rows, -(-cols // group))
        codes = generator.integers(0, 1 << bits, (rows, cols), dtype=np.uint8)
        scale = generator.uniform(-1, 1, grids).astype(np.float16)
        zero = generator.integers(0, 1 << bits, grids, dtype=np.uint8)
        keep = generator.random((rows, cols)) < (0.2, 0.5, 1)[number % 3]
        x = reference_float.draw(number, tokens, cols)
        weight = reference_sparse.fill(Weight(bits, group, codes, scale, zero), keep)
        kept, masks, starts = reference_sparse.pack(codes, keep, bits)
        parts = (kept, masks, starts, pack_grids(scale, group), pack_grids(zero, group), x)
        sizes = struct.pack("<7I", 3, rows, cols, bits, group, tokens, len(kept))
        asked = sizes + b"".join(part.tobytes() for part in parts)
        yield asked, reference_linear.linear(weight, x).tobytes(), f"sparse_linear_w{bits}a8"


def check(command: list[str], isa: str, folder: Path) -> None:
    cases = (*linear_cases(), *conv_cases(), *pool_cases(), *sparse_cases())
    asked, expected, names = zip(*cases, strict=True)
    path = folder / "cases"
    path.write_bytes(b"".join(asked))
    given, ran = run_probe([*command, path], isa)
    assert ran == [selected(name, isa) for name in names]
    wanted = np.frombuffer(b"".join(expected), np.uint32)
    np.testing.assert_array_equal(np.frombuffer(given, np.uint32), wanted)


@pytest.mark.arm
def test_arm64_gives_the_same_bits_under_qemu(tmp_path: Path) -> None:
    command = emulator("max")
    program = build(ARM_COMPILER, tmp_path, "probe_layers", OPERATIONS, "-static")
    for isa in ("portable", "neon"):
        check([*command, str(program)], isa, tmp_path)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_sanitizers_find_nothing_in_any_kernel(compiler: str, tmp_path: Path) -> None:
    program = build(compiler, tmp_path, "probe_layers", OPERATIONS, *SANITIZERS)
    for isa in _native.isa_of_this_processor():
        check([str(program)], isa, tmp_path)
