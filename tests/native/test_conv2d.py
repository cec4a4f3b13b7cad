"""Mirrors native/kernels/conv2d_a8: every row of kernels.inc against numpy, bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native.reference_static import Bytes, Layer, Window, draw, draw_codes
from native.rows import each_kernel, kernels_here
from native.windows import window_of

from lamella import _native
from native import reference_static as reference

HERE = kernels_here(_native.conv2d_a8_kernels())
WIDTHS = (4, 6, 8)
PLAIN = Window()
AFTER = ("gelu", "silu", "gelu_tanh", "sigmoid", "hard_swish")

# rows, height and width of the kernel, channels of a group, groups, and how the kernel moves
CONVOLUTIONS = (
    ((8, 3, 3, 3), 1, Window((2, 2), (1, 1, 1, 1))),
    ((17, 3, 3, 16), 1, Window((1, 1), (1, 1, 1, 1))),
    ((24, 1, 1, 40), 1, Window((2, 2))),
    ((5, 5, 3, 33), 1, Window((1, 2), (2, 0, 1, 3))),
    ((20, 3, 3, 7), 2, Window((1, 1), (0, 1, 2, 1), (2, 1))),
    ((27, 2, 2, 64), 3, Window((2, 1), (1, 0, 0, 1), (1, 3))),
    ((6, 3, 3, 1), 6, Window((1, 1), (1, 1, 1, 1))),
    # more products than are unpacked or copied at a time, and more rows than share a copy
    ((9, 3, 3, 118), 1, Window((2, 2), (1, 1, 1, 1))),
    ((9, 1, 1, 2190), 1, Window((3, 3))),
    ((137, 1, 1, 6), 1, Window((2, 2))),
)

kernel = each_kernel(_native.conv2d_a8_kernels())


def pack(layer: Layer) -> _native.Conv2dLayer:
    weight = _native.pack_conv2d(layer.codes, layer.bits, layer.groups)
    return _native.Conv2dLayer(weight, **layer.arguments())


def check(
    kernel: _native.Conv2dKernel,
    layer: Layer,
    x: Bytes,
    window: Window = PLAIN,
    residual: Bytes | None = None,
) -> None:
    y = kernel.run(pack(layer), x, residual, window=window_of(layer, window))
    if x.ndim == 2:
        expected = reference.linear(layer, x, residual)
    else:
        expected = reference.conv2d(layer, x, window, residual)
    assert y.dtype == expected.dtype
    np.testing.assert_array_equal(y.view(np.uint8), expected.view(np.uint8), strict=True)


@pytest.mark.parametrize("cols", [1, 3, 4, 5, 16, 31, 32, 33, 40, 64, 100])
def test_linear_equals_the_reference(kernel: _native.Conv2dKernel, cols: int) -> None:
    for seed, rows in enumerate((1, 7, 8, 9, 16, 17, 24, 25)):
        layer = draw(seed, (rows, 1, 1, cols), kernel.bits)
        check(kernel, layer, draw_codes(seed, 1 + (seed + cols) % 10, cols))


@pytest.mark.parametrize("tokens", [0, 1, 2, 3, 4, 5, 7, 8, 9, 17, 64, 65, 66, 130])
def test_every_number_of_tokens_equals_the_reference(
    kernel: _native.Conv2dKernel, tokens: int
) -> None:
    layer = draw(tokens, (19, 1, 1, 36), kernel.bits)
    check(kernel, layer, draw_codes(tokens, tokens, 36))


@pytest.mark.parametrize("number", range(len(CONVOLUTIONS)))
def test_a_convolution_equals_the_reference(kernel: _native.Conv2dKernel, number: int) -> None:
    shape, groups, window = CONVOLUTIONS[number]
    for seed in (2 * number, 2 * number + 1):
        layer = draw(seed, shape, kernel.bits, groups)
        check(kernel, layer, draw_codes(seed, 2, 9, 7, groups * shape[3]), window)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.sampled_from(HERE),
    st.tuples(*(st.integers(1, high) for high in (20, 4, 4, 70))),
    st.integers(1, 3),
    st.tuples(*(st.integers(0, 3) for _ in range(4))),
    st.integers(0, 2**32),
)
def test_any_convolution_equals_the_reference(
    kernel: _native.Conv2dKernel,
    shape: tuple[int, int, int, int],
    groups: int,
    padding: tuple[int, int, int, int],
    seed: int,
) -> None:
    layer = draw(seed, (groups * shape[0], *shape[1:]), kernel.bits, groups)
    generator = np.random.default_rng(seed)
    stride, dilation = ((int(a), int(b)) for a, b in generator.integers(1, 4, (2, 2)))
    size = [(k - 1) * step + 1 for k, step in zip(shape[1:3], dilation, strict=True)]
    x = draw_codes(seed, 1, size[0] + seed % 3, size[1] + seed % 5, groups * shape[3])
    check(kernel, layer, x, Window(stride, padding, dilation))


@pytest.mark.parametrize("zero", [0, 255])
@pytest.mark.parametrize("sign", ["plus", "minus", "mixed"])
def test_the_largest_sums_are_exact(kernel: _native.Conv2dKernel, sign: str, zero: int) -> None:
    # The most that a narrow sum has to hold: every code of an input and a weight at its end.
    top = (1 << kernel.bits) - 1
    codes = np.zeros((11, 1, 1, 4096), np.uint8)
    codes[1::2] = top
    codes[9, ..., ::2], codes[10, ..., 1::2] = top, top
    x = np.full((5, 4096), 255, np.uint8)
    x[{"plus": slice(0, 0), "minus": slice(None), "mixed": slice(0, 2)}[sign]] = 0
    x[4, ::2] = 255 - x[4, 1]
    layer = Layer(codes, kernel.bits, 1, (1.0, zero), np.ones(11, np.float32))
    check(kernel, layer, x)


def test_sums_up_to_the_end_of_32_bits_are_exact(kernel: _native.Conv2dKernel) -> None:
    room = 2**31 - 1 - 255 * (64 << (kernel.bits - 1))
    codes = np.zeros((2, 1, 1, 64), np.uint8)
    codes[1] = (1 << kernel.bits) - 1
    bias = np.array([-room, room], np.int32)
    layer = Layer(codes, kernel.bits, 1, (1.0, 0), np.ones(2, np.float32), bias)
    check(kernel, layer, np.full((3, 64), 255, np.uint8))
    with pytest.raises(ValueError, match=r"row 1 has the bias .* pass the bias as float32"):
        pack(replace(layer, bias=np.array([0, room + 1], np.int32)))


def test_halves_are_rounded_to_even_and_codes_saturate(kernel: _native.Conv2dKernel) -> None:
    middle = 1 << (kernel.bits - 1)
    codes = np.full((1, 1, 1, 1), middle + 1, np.uint8)
    layer = Layer(codes, kernel.bits, 1, (0.5, 100), np.ones(1, np.float32), output=(1.0, 10))
    x = np.array([[101], [103], [105], [99], [97], [0], [255]], np.uint8)
    y = kernel.run(pack(layer), x)
    # Sums of half steps: 0.5, 1.5, 2.5, -0.5, -1.5, -50 and 77.5, plus the zero point 10.
    assert y[:, 0].tolist() == [10, 12, 12, 10, 8, 0, 88]
    check(kernel, layer, x)
    wide = replace(layer, input=(1e30, 100), output=(1e-30, 10))
    assert kernel.run(pack(replace(wide, input=(1e6, 100))), x)[:, 0].tolist() == [
        *(255, 255, 255, 0, 0, 0, 255)
    ]
    with pytest.raises(ValueError, match="which float32 cannot hold"):
        pack(wide)


@pytest.mark.parametrize(("low", "high"), [(None, None), (60, None), (60, 130), (0, 0)])
def test_bounds_of_codes_are_applied(
    kernel: _native.Conv2dKernel, low: int | None, high: int | None
) -> None:
    layer = replace(draw(2, (13, 3, 3, 20), kernel.bits), low=low, high=high)
    assert layer.output is not None
    check(kernel, layer, draw_codes(2, 1, 6, 6, 20))


@pytest.mark.parametrize(("low", "high"), [(0.0, None), (0.0, 6.0), (None, -1.5)])
def test_bounds_of_real_outputs_are_applied(
    kernel: _native.Conv2dKernel, low: float | None, high: float | None
) -> None:
    layer = replace(draw(3, (13, 3, 3, 20), kernel.bits), low=low, high=high)
    assert layer.output is None
    check(kernel, layer, draw_codes(3, 1, 6, 6, 20))


@pytest.mark.parametrize("seed", [4, 5])
@pytest.mark.parametrize("rows", [5, 8, 16, 19, 32])
def test_a_residual_is_added(kernel: _native.Conv2dKernel, rows: int, seed: int) -> None:
    layer = replace(draw(seed, (rows, 1, 1, 24), kernel.bits), residual=(0.01, 7))
    residual = draw_codes(seed + 1, 1, 5, 5, rows)
    check(kernel, layer, draw_codes(seed, 1, 5, 5, 24), PLAIN, residual)


@pytest.mark.parametrize("activation", AFTER)
def test_an_activation_follows_the_sums(kernel: _native.Conv2dKernel, activation: str) -> None:
    for seed, rows in ((10, 17), (11, 24), (12, 8), (13, 5)):  # codes for even seeds
        layer = replace(draw(seed, (rows, 1, 1, 40), kernel.bits), activation=activation)
        x = draw_codes(seed, 1, 5, 5, 40)
        check(kernel, layer, x)
        check(kernel, replace(layer, high=3), x)
        added = replace(layer, residual=(0.03, 120))
        check(kernel, added, x, PLAIN, draw_codes(seed + 1, 1, 5, 5, rows))


def test_an_activation_is_of_real_numbers(kernel: _native.Conv2dKernel) -> None:
    # Weights of 1, 40 steps of 0.1 on both sides of the input's zero point.
    codes = np.full((1, 1, 1, 1), (1 << (kernel.bits - 1)) + 1, np.uint8)
    layer = Layer(codes, kernel.bits, 1, (0.1, 40), np.ones(1, np.float32), output=(0.02, 20))
    x = np.arange(81, dtype=np.uint8)[:, None]
    real = 0.1 * (x[:, 0] - 40.0)
    y = kernel.run(pack(replace(layer, activation="silu")), x)[:, 0]
    exact = real / (1 + np.exp(-real)) / 0.02 + 20
    # Half a code, and some float32 roundings of numbers below 2^8.
    assert np.abs(y - exact).max() <= 0.5 + 2.0**-13
    # The least of silu is -0.278, or 13.9 codes below its zero point.
    assert (y.min(), y[40], y.max()) == (6, 20, 216)


def test_a_bias_of_32_bits_is_part_of_the_sums(kernel: _native.Conv2dKernel) -> None:
    generator = np.random.default_rng(1)
    bias = generator.integers(-(2**20), 2**20, 21).astype(np.int32)
    for seed in (6, 7):
        layer = replace(draw(seed, (21, 1, 1, 48), kernel.bits), bias=bias)
        check(kernel, layer, draw_codes(seed, 9, 48))
        check(kernel, replace(layer, bias=None), draw_codes(seed, 9, 48))


def test_the_number_of_threads_changes_nothing(kernel: _native.Conv2dKernel) -> None:
    layer = draw(8, (72, 3, 3, 24), kernel.bits)
    packed, window = pack(layer), window_of(layer, Window((1, 1), (1, 1, 1, 1)))
    for height in (1, 2, 9):  # fewer positions than threads, then more
        x = draw_codes(height, 1, height, 7, 24)
        expected = kernel.run(packed, x, window=window).tobytes()
        for threads in (1, 2, 3, 4):
            pool = _native.ThreadPool(threads)
            given = kernel.run(packed, x, window=window, pool=pool)
            assert given.tobytes() == expected


def test_a_code_of_the_output_is_within_half_a_step(kernel: _native.Conv2dKernel) -> None:
    layer = draw(10, (30, 3, 3, 60), kernel.bits)
    x = draw_codes(10, 1, 6, 6, 60)
    y = kernel.run(pack(layer), x).astype(np.float64)
    assert layer.output is not None
    assert layer.bias is not None
    scale, zero = layer.output
    exact = reference.sums(layer, x, PLAIN) * layer.input[0] * layer.scale + layer.bias
    expected = np.clip(exact / scale + zero, 0, 255)
    # Half a step of rounding, and three float32 roundings of a number below 2^10.
    assert np.abs(y - expected).max() <= 0.5 + 3 * 2.0**-14
    assert len(np.unique(y)) > 20


@pytest.mark.parametrize("bits", WIDTHS)
def test_the_tiles_of_a_kernel_follow_its_taps(bits: int) -> None:
    codes = draw(1, (11, 2, 3, 40), bits).codes
    weight = _native.pack_conv2d(codes, bits)
    middle = 1 << (bits - 1)
    assert weight.codes.shape == (2, 6, 2, 32 * bits)
    for tap in range(6):
        filled = np.full((11, 64), middle, np.uint8)
        filled[:, :40] = codes.reshape(11, 6, 40)[:, tap]
        expected = _native.pack_linear(filled, np.ones((11, 1), np.float32), None, bits, 0)
        np.testing.assert_array_equal(weight.codes[:, tap], expected.codes)
    total = codes.astype(np.int64).sum(axis=(1, 2, 3)) - middle * 240
    np.testing.assert_array_equal(weight.sum[:11], total)
    assert not weight.sum[11:].any()


def test_stored_arrays_make_the_same_weight(kernel: _native.Conv2dKernel) -> None:
    layer = draw(12, (18, 3, 3, 10), kernel.bits, 2)
    weight = _native.pack_conv2d(layer.codes, layer.bits, 2)
    codes, total = weight.codes.copy(), weight.sum.copy()
    stored = _native.Conv2dWeight(18, (3, 3), 10, kernel.bits, 2, codes, total)
    assert stored.codes is codes
    x = draw_codes(12, 1, 5, 5, 20)
    y = kernel.run(_native.Conv2dLayer(stored, **layer.arguments()), x)
    np.testing.assert_array_equal(y, kernel.run(pack(layer), x))
    with pytest.raises(ValueError, match="codes must have the shape"):
        _native.Conv2dWeight(18, (3, 3), 10, kernel.bits, 1, codes, total)
    damaged = _native.Conv2dWeight(18, (3, 3), 10, kernel.bits, 2, codes, total + np.int32(2**30))
    with pytest.raises(ValueError, match="row 0 cannot have weights of the sum"):
        _native.Conv2dLayer(damaged, **layer.arguments())
    with pytest.raises(ValueError, match="sum must be int32, not int64"):
        _native.Conv2dWeight(18, (3, 3), 10, kernel.bits, 2, codes, total.astype(np.int64))


def test_inputs_that_do_not_fit_are_refused(kernel: _native.Conv2dKernel) -> None:
    packed = pack(draw(1, (8, 3, 3, 5), kernel.bits))
    x = draw_codes(1, 1, 6, 6, 5)
    with pytest.raises(ValueError, match="x must be uint8, not float32"):
        kernel.run(packed, x.astype(np.float32))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"x must have the shape \(1, 6, 6, 5\), not .*6\)"):
        kernel.run(packed, draw_codes(1, 1, 6, 6, 6))
    with pytest.raises(ValueError, match="x must have 4 dimensions"):
        kernel.run(packed, x[0])
    with pytest.raises(ValueError, match="not contiguous or not aligned"):
        kernel.run(packed, x[:, ::2])
    with pytest.raises(ValueError, match="does not fit a height of 2 with its padding"):
        kernel.run(packed, x[:, :2].copy())
    with pytest.raises(ValueError, match="window must be that of the layer, 3 x 3, not 3 x 1"):
        kernel.run(packed, x, window=_native.Window((3, 1)))
    with pytest.raises(ValueError, match="the layer has no grid for it"):
        kernel.run(packed, x, draw_codes(1, 1, 4, 4, 8))
    other = pack(replace(draw(1, (8, 3, 3, 5), kernel.bits), residual=(1.0, 0)))
    with pytest.raises(ValueError, match="the layer adds a residual, but none is given"):
        kernel.run(other, x)
    with pytest.raises(ValueError, match=r"residual must have the shape \(1, 4, 4, 8\)"):
        kernel.run(other, x, draw_codes(1, 1, 6, 6, 8))


def test_layers_that_do_not_fit_are_refused() -> None:
    layer = draw(2, (8, 1, 1, 5), 4)
    weight = _native.pack_conv2d(layer.codes, 4)
    good = layer.arguments()
    for change, sentence in (
        ({"input": (0.0, 3)}, "the scale of the input must be positive and finite, not 0.0"),
        ({"output": (1.0, 256)}, "the zero point of the output must be 0 to 255, not 256"),
        ({"scale": layer.scale[1:].copy()}, r"scale must have the shape \(8,\), not \(7,\)"),
        ({"scale": layer.scale * np.float32(np.nan)}, "the scale of row 0 .* is nan"),
        ({"bias": np.zeros(8)}, "bias must be float32, not float64"),
        ({"low": 0.5}, "low must be a code, 0 to 255, not 0.5"),
        ({"low": 9, "high": 8}, "low must be at most high, but they are 9.0 and 8.0"),
        ({"output": None, "high": np.nan}, "high must be a number, not nan"),
        ({"activation": "tanh"}, "activation must be one of none, relu, .*, not tanh"),
        ({"activation": "relu"}, "relu is a bound here; pass low instead of an activation"),
        (
            {"activation": "silu", "output": (1e-40, 0)},
            "the inverse scale of row 0 .* float32 cannot hold",
        ),
    ):
        with pytest.raises(ValueError, match=sentence):
            _native.Conv2dLayer(weight, **{**good, **change})


def test_weights_that_do_not_fit_are_refused() -> None:
    codes = draw(2, (8, 1, 1, 5), 6).codes
    with pytest.raises(ValueError, match=r"codes has the code .*, which does not fit 4 bits"):
        _native.pack_conv2d(codes | 32, 4)
    with pytest.raises(ValueError, match="bits must be 4, 6 or 8, not 5"):
        _native.pack_conv2d(codes, 5)
    with pytest.raises(ValueError, match="8 rows cannot be split into 3 groups"):
        _native.pack_conv2d(codes, 6, 3)
    with pytest.raises(ValueError, match="at most 128 taps, not 12 x 11"):
        _native.pack_conv2d(np.zeros((1, 12, 11, 1), np.uint8), 8)
    with pytest.raises(ValueError, match=r"1 x 65794 products .* use at most 65793"):
        _native.pack_conv2d(np.zeros((1, 1, 1, 65794), np.uint8), 8)
    with pytest.raises(ValueError, match="bits must be 4, 6 or 8, not 2"):
        _native.conv2d_a8_kernel(2)
    layer = pack(draw(2, (8, 1, 1, 5), 6))
    with pytest.raises(ValueError, match="conv2d_w8a8_portable cannot run a weight of 6 bits"):
        _native.conv2d_a8_kernels()[-1].run(layer, draw_codes(1, 2, 5))
