"""Mirrors native/kernels/linear_float: every row of kernels.inc against numpy, bit for bit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from native.reference_linear import Weight
from native.rows import each_kernel, kernels_here

from lamella import _native
from native import reference_float, reference_layers

Float = npt.NDArray[np.float32]

BITS = {"w4": 4, "w8": 8}
# Around the 8 rows of a strip and the 4 and 8 strips that are computed side by side, and around
# the 4 or 8 columns of a load and the 32 of a block.
ROWS = (1, 7, 8, 9, 16, 17, 31, 33, 64, 70)
COLS = (0, 1, 3, 4, 5, 8, 9, 31, 32, 33, 40, 100)

kernel = each_kernel(_native.linear_float_kernels())


def draw(
    kind: str, seed: int, rows: int, cols: int, group: int = 32, *, zero: bool = True
) -> tuple[_native.FloatWeight | _native.LinearWeight, Float]:
    """Returns a weight of a kind and the float32 numbers that it stands for."""
    if kind not in BITS:
        numbers = reference_float.draw(seed, rows, cols)
        stored = numbers.astype(np.float16) if kind == "f16" else numbers
        return _native.pack_float(stored), stored.astype(np.float32)
    generator = np.random.default_rng(seed)
    bits = BITS[kind]
    grids = (rows, -(-cols // group) if group else 1)
    scale = generator.uniform(-0.1, 0.1, grids)
    weight = Weight(
        bits,
        group,
        generator.integers(0, 1 << bits, (rows, cols), dtype=np.uint8),
        scale.astype(np.float16) if group else scale.astype(np.float32),
        generator.integers(0, 1 << bits, grids, dtype=np.uint8) if zero else None,
    )
    packed = _native.pack_linear(weight.codes, weight.scale, weight.zero, bits, group)
    return packed, reference_layers.decode(weight)


def equal(given: Float, expected: Float) -> None:
    np.testing.assert_array_equal(given.view(np.uint32), expected.view(np.uint32), strict=True)


@pytest.mark.parametrize("cols", COLS)
def test_equals_the_reference(kernel: _native.LinearFloatKernel, cols: int) -> None:
    for seed, rows in enumerate(ROWS):
        group = (0, 16, 32, 64, 128)[(seed + cols) % 5]
        weight, real = draw(kernel.kind, seed, rows, cols, group, zero=bool(seed % 2))
        x = reference_float.draw(seed + 1, 1 + seed % 3, cols)
        bias = reference_float.draw(seed + 2, rows) if seed % 3 else None
        equal(kernel.run(weight, x, bias), reference_layers.linear(real, x, bias, "none"))


@pytest.mark.parametrize("tokens", [0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 17])
def test_every_number_of_tokens_equals_the_reference(
    kernel: _native.LinearFloatKernel, tokens: int
) -> None:
    weight, real = draw(kernel.kind, tokens, 75, 45)
    x = reference_float.draw(tokens, tokens, 45)
    equal(kernel.run(weight, x), reference_layers.linear(real, x, None, "none"))


@pytest.mark.parametrize("group", [16, 32])
def test_chunks_of_tokens_and_blocks_of_columns_equal_the_reference(
    kernel: _native.LinearFloatKernel, group: int
) -> None:
    weight, real = draw(kernel.kind, group, 41, 300, group)
    x, bias = reference_float.draw(1, 230, 300), reference_float.draw(2, 41)
    equal(kernel.run(weight, x, bias), reference_layers.linear(real, x, bias, "none"))


@pytest.mark.parametrize("activation", reference_layers.ACTIVATIONS)
def test_the_activation_follows_the_bias(
    kernel: _native.LinearFloatKernel, activation: str
) -> None:
    weight, real = draw(kernel.kind, 3, 21, 34)
    x, bias = reference_float.draw(4, 4, 34), reference_float.draw(5, 21, scale=4)
    bias[:2] = np.inf, -np.inf
    expected = reference_layers.linear(real, x, bias, activation)
    equal(kernel.run(weight, x, bias, activation), expected)


def test_inputs_of_any_size_equal_the_reference(kernel: _native.LinearFloatKernel) -> None:
    weight, real = draw(kernel.kind, 6, 20, 24)
    x = reference_float.draw_bits(7, 60, 24)
    # Columns that are 0 leave single extremes, so that not every output is NaN.
    x[:, 2:][np.arange(22) % 11 != np.arange(60)[:, None] % 11] = 0
    equal(kernel.run(weight, x), reference_layers.linear(real, x, None, "none"))


@pytest.mark.parametrize("kind", ["f32", "f16"])
def test_weights_of_any_bits_equal_the_reference(kind: str) -> None:
    generator = np.random.default_rng(8)
    size, dtype = (np.uint32, np.float32) if kind == "f32" else (np.uint16, np.float16)
    random = generator.integers(0, np.iinfo(size).max, (400, 2), dtype=size, endpoint=True)
    weight, x = random.view(dtype), np.array([[1, -0.0], [0.5, 3e-39]], np.float32)
    expected = reference_layers.linear(weight.astype(np.float32), x, None, "none")
    for kernel in kernels_here(_native.linear_float_kernels()):
        if kernel.kind == kind:
            equal(kernel.run(_native.pack_float(weight), x), expected)


def test_the_error_against_float64_is_within_its_bound(
    kernel: _native.LinearFloatKernel,
) -> None:
    weight, real = draw(kernel.kind, 9, 40, 300)
    x = reference_float.draw(10, 7, 300)
    exact = x.astype(np.float64) @ real.astype(np.float64).T
    # Each of the 300 sums is rounded once.
    bound = 1.01 * 300 * reference_float.UNIT * (np.abs(x) @ np.abs(real).T.astype(np.float64))
    assert (np.abs(kernel.run(weight, x) - exact) <= bound).all()


def test_the_number_of_threads_changes_nothing(kernel: _native.LinearFloatKernel) -> None:
    weight, _ = draw(kernel.kind, 11, 150, 64)
    x, bias = reference_float.draw(12, 8, 64), reference_float.draw(13, 150)
    expected = kernel.run(weight, x, bias, "gelu").tobytes()
    for threads in (1, 2, 3, 4):
        pool = _native.ThreadPool(threads)
        assert kernel.run(weight, x, bias, "gelu", pool).tobytes() == expected


@pytest.mark.parametrize("kind", ["f32", "f16"])
def test_stored_values_make_the_same_weight(kind: str) -> None:
    kernel = _native.linear_float_kernel(kind)
    weight = draw(kind, 1, 9, 40)[0]
    assert isinstance(weight, _native.FloatWeight)
    stored = _native.FloatWeight(9, weight.values)
    x = reference_float.draw(2, 2, 40)
    equal(kernel.run(stored, x), kernel.run(weight, x))
    assert stored.values is weight.values
    assert weight.values.shape == (2, 40, 8)


def test_arguments_that_do_not_fit_are_refused(kernel: _native.LinearFloatKernel) -> None:
    weight, _ = draw(kernel.kind, 1, 8, 40)
    x = reference_float.draw(1, 2, 40)
    with pytest.raises(ValueError, match=r"x must have the shape \(2, 40\), not \(2, 39\)"):
        kernel.run(weight, x[:, 1:].copy())
    with pytest.raises(ValueError, match="x must be float32, not float64"):
        kernel.run(weight, x.astype(np.float64))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not contiguous or not aligned"):
        kernel.run(weight, np.asfortranarray(x))
    with pytest.raises(ValueError, match=r"bias must have the shape \(8,\), not \(9,\)"):
        kernel.run(weight, x, np.zeros(9, np.float32))
    with pytest.raises(ValueError, match=r"one of none, relu, .*, hard_swish, not tanh"):
        kernel.run(weight, x, activation="tanh")
    other, _ = draw({"f32": "f16", "f16": "w4", "w4": "w8", "w8": "f32"}[kernel.kind], 1, 8, 40)
    with pytest.raises(ValueError, match=f"{kernel.name} cannot run a weight of the kind"):
        kernel.run(other, x)


def test_weights_that_do_not_fit_are_refused() -> None:
    kernel = _native.linear_float_kernel("w4")
    codes = np.zeros((8, 32), np.uint8)
    weight = _native.pack_linear(codes, np.ones((8, 1), np.float32), None, 5, 0)
    with pytest.raises(ValueError, match=r"a weight of 5 bits has no kernel .* pack 4 or 8"):
        kernel.run(weight, np.zeros((1, 32), np.float32))
    with pytest.raises(ValueError, match="weight must be float32, not int32"):
        _native.pack_float(np.zeros((8, 32), np.int32))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"values must have the shape \(2, 4, 8\)"):
        _native.FloatWeight(9, np.zeros((1, 4, 8), np.float32))
    with pytest.raises(ValueError, match="kind must be one of f32, f16, w4, w8, not w5"):
        _native.linear_float_kernel("w5")
