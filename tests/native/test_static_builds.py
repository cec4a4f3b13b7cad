"""Other builds of conv2d_a8 and depthwise_a8 give the bits of the numpy reference.

A small program (probe_static.cc) is built for arm64 and run under qemu as several processors, and
built for the host with the checks of debug builds and the sanitizers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from native.probes import ARM_COMPILER, COMPILERS, SANITIZERS, build, emulator, run_probe
from native.reference_layers import ACTIVATIONS
from native.reference_static import Bytes, Layer, Window, draw, draw_codes
from native.rows import selected

from lamella import _native
from native import reference_static as reference

OPERATIONS = ("conv2d_a8", "depthwise_a8")
# rows, height and width of the kernel, channels of a group, groups, and how the kernel moves
SHAPES = (
    ((17, 3, 3, 3), 1, Window((2, 2), (1, 1, 1, 1))),
    ((24, 1, 1, 33), 1, Window()),
    ((22, 2, 3, 39), 2, Window((1, 1), (0, 2, 1, 0), (2, 1))),
    ((8, 1, 1, 130), 1, Window((2, 2))),
    ((9, 1, 1, 1103), 1, Window((4, 4))),  # more than is unpacked at a time
)
DEPTHWISE = (
    (19, 3, Window((1, 1), (1, 1, 1, 1))),
    (32, 5, Window((2, 2), (2, 2, 2, 2))),
    (90, 2, Window()),
)
AFTER = ("none", "gelu", "none", "silu", "gelu_tanh", "none", "sigmoid", "hard_swish")


def encode(layer: Layer, x: Bytes, window: Window, residual: Bytes | None, bits: int) -> bytes:
    """Returns a case of the probe; `bits` is 0 for depthwise."""
    rows, height, width, cols = layer.codes.shape
    shape = reference.sums(layer, x, window).shape
    unit, zero = layer.output or (1.0, 0)
    divisor = unit if layer.activation == "none" else 1.0
    ends = (0, 255) if layer.output else (-np.inf, np.inf)
    low, high = (
        end if given is None else given
        for end, given in zip(ends, (layer.low, layer.high), strict=True)
    )
    other_scale, other_zero = layer.residual or (0.0, 0)
    head = struct.pack(
        "<23I4f",
        *(bits, layer.groups, rows // layer.groups, cols),
        *(*x.shape[:3], *shape[1:3]),
        *(height, width, *window.stride, *window.dilation, *window.padding[:2]),
        *(layer.input[1], layer.output is not None, zero, residual is not None, other_zero),
        *(list(ACTIVATIONS).index(layer.activation), low - zero, high - zero),
        *(np.float32(other_scale / divisor), np.float32(divisor / unit)),
    )
    step = (layer.input[0] * layer.scale.astype(np.float64) / divisor).astype(np.float32)
    whole, real = np.zeros(rows, np.int32), np.zeros(rows, np.float32)
    if layer.bias is not None and layer.bias.dtype == np.int32:
        whole = layer.bias
    elif layer.bias is not None:
        real = (layer.bias.astype(np.float64) / divisor).astype(np.float32)
    parts = (layer.codes, x, residual, whole, step, real)
    return head + b"".join(part.tobytes() for part in parts if part is not None)


def layers() -> Iterator[tuple[Layer, Window, int]]:
    """Yields layers, how their kernel moves, and the width of the kernel, 0 for depthwise."""
    for bits in (4, 6, 8):
        for seed, (shape, groups, window) in enumerate(2 * SHAPES):
            layer = draw(seed + bits // 4, shape, bits, groups)
            if seed == 2:
                layer = replace(layer, bias=np.arange(shape[0], dtype=np.int32) * 1000)
            if seed == 5:  # the largest sums
                layer.codes[::2], layer.codes[1::2] = (1 << bits) - 1, 0
            yield layer, window, bits
    for seed, (channels, size, window) in enumerate(2 * DEPTHWISE):
        layer = draw(seed // 2 + seed, (channels, size, size, 1), 8, channels)
        yield layer, window, 0


def cases() -> Iterator[tuple[bytes, bytes, int]]:
    """Yields what the probe reads, what it must answer, and the width of the kernel."""
    for seed, (layer, window, bits) in enumerate(layers()):
        x = draw_codes(seed, 1, 5, 6, layer.groups * layer.codes.shape[3])
        residual = None
        if seed % 3 == 0:
            layer = replace(layer, residual=(0.01, 9))
            residual = draw_codes(seed, *reference.sums(layer, x, window).shape)
        if seed % 4 == 1:
            layer = replace(layer, low=3, high=9)
        layer = replace(layer, activation=AFTER[seed % len(AFTER)])
        asked = encode(layer, x, window, residual, bits)
        yield asked, reference.conv2d(layer, x, window, residual).tobytes(), bits


def check(command: list[str], isa: str, folder: Path) -> None:
    asked, expected, widths = zip(*cases(), strict=True)
    path = folder / "cases"
    path.write_bytes(b"".join(asked))
    given, ran = run_probe([*command, path], isa)
    works = [f"conv2d_w{bits}a8" if bits else "depthwise_w8a8" for bits in widths]
    assert ran == [selected(work, isa) for work in works]
    assert given == b"".join(expected)


@pytest.mark.arm
def test_arm64_gives_the_same_bits_under_qemu(tmp_path: Path) -> None:
    newest, oldest = emulator("max"), emulator("cortex-a72")
    program = str(build(ARM_COMPILER, tmp_path, "probe_static", OPERATIONS, "-static"))
    for isa in ("portable", "neon", "dotprod", "i8mm"):
        check([*newest, program], isa, tmp_path)
    check([*oldest, program], "neon", tmp_path)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_sanitizers_find_nothing_in_any_kernel(compiler: str, tmp_path: Path) -> None:
    program = build(compiler, tmp_path, "probe_static", OPERATIONS, *SANITIZERS)
    for isa in _native.isa_of_this_processor():
        check([str(program)], isa, tmp_path)
