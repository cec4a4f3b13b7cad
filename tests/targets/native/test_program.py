"""Programs that are written here and run by the engine, against numpy and the kernels alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lamella import _native
from lamella.targets.native.program import Axis, Program, Symbol, Value
from lamella.targets.native.writer import write

Floats = npt.NDArray[np.float32]


def opened(program: Program, **options: Any) -> _native.Session:
    files = write(program)
    weights = np.frombuffer(files["weights.bin"], np.uint8)
    return _native.Session(files["program.bin"], weights, **options)


def linear(program: Program, x: Value, weight: _native.LinearWeight, bias: Floats) -> Value:
    arrays = (weight.codes, weight.scale, weight.zero)
    codes, scale, zero = (None if a is None else program.constant(a) for a in arrays)
    axes = (*x.axes[:-1], weight.rows)
    operands = (x, codes, scale, zero, program.constant(bias))
    return program.call("linear_a8", operands, axes, integers=(weight.bits, weight.group))


def weights(rng: np.random.Generator, rows: int, cols: int) -> _native.LinearWeight:
    groups = -(-cols // 32)
    codes = rng.integers(0, 16, (rows, cols), np.uint8)
    scale = rng.uniform(0.01, 0.1, (rows, groups)).astype(np.float16)
    zero = rng.integers(0, 16, (rows, groups), np.uint8)
    return _native.pack_linear(codes, scale, zero, 4, 32)


def block(rng: np.random.Generator) -> tuple[Program, Any]:
    """A residual block with a symbolic number of tokens, and the same by single kernels."""
    wide, narrow = weights(rng, 80, 48), weights(rng, 48, 80)
    shift = rng.normal(size=80).astype(np.float32)
    other = rng.normal(size=48).astype(np.float32)
    gain = rng.normal(size=48).astype(np.float32)
    program = Program([Symbol("tokens", 1, 64)])
    x = program.input("x", "float32", (2, "tokens", 48))
    normed = program.call("rmsnorm", (x, program.constant(gain)), x.axes, numbers=(1e-5,))
    hidden = linear(program, normed, wide, shift)
    active = program.call("gelu", (hidden,), hidden.axes)
    back = linear(program, active, narrow, other)
    program.outputs["y"] = program.call("add", (back, x), x.axes)
    kernel, math = _native.linear_a8_kernel(4), _native.elementwise_kernel()

    def reference(array: Floats) -> Floats:
        rows = _native.rmsnorm_kernel().run(array, gain, 1e-5).reshape(-1, 48)
        y = kernel.run(narrow, math.gelu(kernel.run(wide, rows, shift)), other)
        return math.add(y.reshape(array.shape), array)

    return program, reference


@pytest.mark.parametrize("threads", [1, 3])
def test_a_block_equals_its_kernels_for_every_number_of_tokens(threads: int) -> None:
    rng = np.random.default_rng(1)
    program, reference = block(rng)
    session = opened(program, threads=threads)
    for tokens in (64, 1, 7, 64, 33):
        x = rng.normal(size=(2, tokens, 48)).astype(np.float32)
        y = session.run({"x": x})["y"]
        assert y.tobytes() == reference(x).tobytes()


def test_memory_is_planned_and_reused_in_place() -> None:
    program, _ = block(np.random.default_rng(2))
    # 128 tokens of 48, and of 80, which gelu overwrites; the sum takes the place of `back`.
    assert opened(program).memory["arena"] == 4 * 128 * (48 + 80)


def test_the_text_shows_every_call() -> None:
    program, _ = block(np.random.default_rng(3))
    assert program.text() == (
        "%0:2xtokensx48 = rmsnorm(x:2xtokensx48, float32:48) [1e-05]\n"
        "%1:2xtokensx80 = linear_a8(%0:2xtokensx48, uint8:10x2x128, float16:10x2x8, "
        "uint8:10x2x8, float32:80) [4, 32]\n"
        "%2:2xtokensx80 = gelu(%1:2xtokensx80)\n"
        "%3:2xtokensx48 = linear_a8(%2:2xtokensx80, uint8:6x3x128, float16:6x3x8, "
        "uint8:6x3x8, float32:48) [4, 32]\n"
        "%4:2xtokensx48 = add(%3:2xtokensx48, x:2xtokensx48)\n"
        "outputs: y = %4:2xtokensx48\n"
    )


def test_equal_programs_give_equal_bytes_and_equal_constants_are_stored_once() -> None:
    first, second = (write(block(np.random.default_rng(4))[0]) for _ in range(2))
    assert first == second
    program = Program()
    x = program.input("x", "float32", (4,))
    for _ in range(3):
        x = program.call("add", (x, program.constant(np.ones(4, np.float32))), (4,))
    program.outputs["y"] = x
    assert len(write(program)["weights.bin"]) == 64
    np.testing.assert_array_equal(
        opened(program).run({"x": np.zeros(4, np.float32)})["y"], np.full(4, 3, np.float32)
    )


def test_views_show_the_same_elements() -> None:
    program = Program([Symbol("n", 1, 9)])
    x = program.input("x", "float32", ("n", 6))
    rows = program.view(x, (Axis(mul=2, symbols=("n",)), 3))
    program.outputs["y"] = program.call("softmax", (rows,), rows.axes)
    x_value = np.random.default_rng(5).normal(size=(5, 6)).astype(np.float32)
    expected = _native.softmax_kernel().run(x_value.reshape(10, 3))
    assert opened(program).run({"x": x_value})["y"].tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({}, "has 1 inputs, but 0"),
        ({"z": np.zeros((2, 1, 48), np.float32)}, "input x is missing"),
        ({"x": np.zeros((2, 1, 48))}, "dtype float64"),
        ({"x": np.zeros((2, 48), np.float32)}, "must be float32 with 3 axes, not float32"),
        ({"x": np.zeros((2, 65, 48), np.float32)}, "from 1 to 64, not 65"),
        ({"x": np.zeros((3, 1, 48), np.float32)}, r"must be float32 \(2, 1, 48\)"),
        ({"x": np.zeros((48, 1, 2), np.float32).T}, "contiguous"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: dict[str, Any], sentence: str) -> None:
    session = opened(block(np.random.default_rng(6))[0])
    with pytest.raises(ValueError, match=sentence):
        session.run(inputs)


def test_programs_that_do_not_fit_are_refused() -> None:
    program = Program()
    x = program.input("x", "float32", (4,))
    program.outputs["y"] = program.call("gelu", (x,), (5,))
    with pytest.raises(ValueError, match="call 0, gelu: two of its arrays"):
        opened(program)
    program = Program()
    program.outputs["y"] = program.call("no_such", (program.input("x", "float32", (4,)),), (4,))
    with pytest.raises(ValueError, match="no operation no_such of version 1"):
        opened(program)


def test_a_changed_byte_is_an_error_or_another_program() -> None:
    files = write(block(np.random.default_rng(7))[0])
    constants = np.frombuffer(files["weights.bin"], np.uint8)
    refused = 0
    for place in range(len(files["program.bin"])):
        for flip in (1, 128, 255):
            changed = bytearray(files["program.bin"])
            changed[place] ^= flip
            try:
                session = _native.Session(bytes(changed), constants)
                session.run({"x": np.ones((2, 3, 48), np.float32)})
            except ValueError:
                refused += 1
    assert refused > len(files["program.bin"])
