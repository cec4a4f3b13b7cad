"""Other builds of the float kernels give the bits of the portable kernels of this one.

A small program (float_probe.cc) is built for arm64 and run under qemu, and built for the host with
the sanitizers, which see reads and writes outside the arrays.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from native.probes import ARM_COMPILER, COMPILERS, SANITIZERS, build, emulator, run_probe
from native.rows import selected

from lamella import _native
from native import reference_float as reference

OPERATIONS = ("elementwise", "softmax", "rmsnorm", "layernorm", "rope")
UNARY = ("exp", "sigmoid", "tanh", "erf", "relu", "relu6", "gelu", "gelu_tanh", "silu")
UNARY += ("hard_swish",)
BINARY = ("add", "sub", "mul", "div", "minimum", "maximum", "swiglu")
# rows, cols, heads, half
SHAPES = [(3, 1, 1, 1), (4, 15, 2, 8), (5, 16, 1, 15), (3, 17, 3, 16), (2, 33, 2, 17)]
SHAPES += [(6, 64, 1, 32), (3, 100, 2, 40), (2, 576, 1, 64), (0, 5, 1, 1), (2, 0, 0, 0)]


def answers(
    a: reference.Float, b: reference.Float, weight: reference.Float, bias: reference.Float
) -> Iterator[reference.Float]:
    """Yields what the portable kernels give for the (rows, cols) arrays."""
    elementwise = _native.elementwise_kernels()[-1]
    for name in UNARY:
        yield getattr(elementwise, name)(a)
    for name in BINARY:
        yield getattr(elementwise, name)(a, b)
    eps = float(np.float32(1e-5))
    yield _native.softmax_kernels()[-1].run(a)
    yield _native.rmsnorm_kernels()[-1].run(a, weight, eps)
    yield _native.layernorm_kernels()[-1].run(a, weight, bias, eps)


def case(seed: int, shape: tuple[int, int, int, int], *, wild: bool) -> tuple[bytes, bytes]:
    """Returns what the probe reads and what it must answer."""
    rows, cols, heads, half = shape
    fill = reference.draw_bits if wild else reference.draw
    arrays = [
        fill(seed, rows, cols),
        fill(seed + 1, rows, cols),
        fill(seed, cols),
        reference.draw(3, cols),
    ]
    # One row of extremes among ordinary ones; the others still have a softmax.
    if rows > 2:
        arrays[0][1] = np.resize(reference.EXTREMES, cols)
    turned = [
        fill(seed, rows, heads, 2 * half),
        fill(seed, rows, half),
        reference.draw(5, rows, half),
    ]
    position = np.arange(rows, dtype=np.int32)[::-1].copy()
    rope = _native.rope_kernels()[-1].run(turned[0], turned[1], turned[2], position)
    expected = [*answers(*arrays), rope]
    head = np.array(shape, "<u4").tobytes()
    asked = b"".join(array.tobytes() for array in (*arrays, *turned, position))
    return head + asked, b"".join(2 * array.tobytes() for array in expected)


def check(command: list[str | Path], isa: str, folder: Path) -> None:
    cases = [case(7 * i, shape, wild=i % 2 == 1) for i, shape in enumerate(2 * SHAPES)]
    cases += [case(7 * i, shape, wild=i % 2 == 0) for i, shape in enumerate(2 * SHAPES)]
    path = folder / "cases"
    path.write_bytes(b"".join(asked for asked, _ in cases))
    given, ran = run_probe([*command, path], isa)
    assert ran == len(cases) * [selected(name, isa) for name in OPERATIONS]
    wanted = np.frombuffer(b"".join(expected for _, expected in cases), np.uint32)
    np.testing.assert_array_equal(np.frombuffer(given, np.uint32), wanted)


@pytest.mark.arm
def test_arm64_gives_the_same_bits_under_qemu(tmp_path: Path) -> None:
    processors = [emulator(name) for name in ("max", "cortex-a72", "neoverse-n1")]
    program = build(ARM_COMPILER, tmp_path, "float_probe", OPERATIONS, "-static")
    for processor in processors:
        check([*processor, program], "neon", tmp_path)
    check([*processors[0], program], "portable", tmp_path)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_sanitizers_find_nothing_in_any_kernel(compiler: str, tmp_path: Path) -> None:
    program = build(compiler, tmp_path, "float_probe", OPERATIONS, *SANITIZERS)
    for isa in _native.isa_of_this_processor():
        check([program], isa, tmp_path)
