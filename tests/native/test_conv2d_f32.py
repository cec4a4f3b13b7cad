"""Mirrors native/kernels/conv2d_f32: every row of kernels.inc against numpy, bit for bit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from native.reference_layers import Axis
from native.rows import each_kernel
from native.windows import WINDOWS, window

from lamella import _native
from native import reference_float, reference_layers

Float = npt.NDArray[np.float32]

SAME = (Axis(3, 1, 1, 1), Axis(3, 1, 1, 1))
# Outputs, inputs and groups: around the 8 outputs of a strip, and several strips side by side.
SIZES = ((1, 1, 1), (8, 3, 1), (9, 4, 1), (33, 5, 1), (70, 2, 1), (6, 6, 3), (18, 4, 2), (5, 5, 5))

kernel = each_kernel(_native.conv2d_f32_kernels())


def equal(given: Float, expected: Float) -> None:
    np.testing.assert_array_equal(given.view(np.uint32), expected.view(np.uint32), strict=True)


@pytest.mark.parametrize("number", range(len(WINDOWS)))
def test_equals_the_reference(kernel: _native.Conv2dF32Kernel, number: int) -> None:
    down, across = WINDOWS[number]
    for seed, (outputs, channels, groups) in enumerate(SIZES[number % 2 :: 2]):
        weight = reference_float.draw(seed, outputs, down.kernel, across.kernel, channels // groups)
        x = reference_float.draw(seed + 1, 1 + seed % 2, 6, 9 + seed, channels)
        bias = reference_float.draw(seed + 2, outputs) if seed % 2 else None
        sums = reference_layers.convolve(weight, groups, down, across, x)
        packed = _native.pack_conv2d_f32(weight, groups)
        equal(
            kernel.run(packed, window(down, across), x, bias, -1.5, 6.0),
            reference_layers.bounded(sums, bias, -1.5, 6.0),
        )


# Several patches of an image, parts of a row, blocks of columns that end within a tap, and outputs
# that end in one register of two.
@pytest.mark.parametrize(
    ("outputs", "groups", "shape", "axis"),
    [
        (41, 1, (2, 9, 14, 150), Axis(1)),
        (9, 1, (1, 13, 12, 50), SAME[0]),
        (17, 1, (1, 4, 250, 3), Axis(3, 2, 0, 1)),
        (18, 2, (1, 3, 119, 10), Axis(2, 1, 1, 0)),
        (5, 1, (1, 12, 30, 4), Axis(3, 1, 2, 2, 2)),
        (4, 1, (1, 3, 5, 0), Axis(1)),
    ],
)
def test_large_shapes_equal_the_reference(
    kernel: _native.Conv2dF32Kernel,
    outputs: int,
    groups: int,
    shape: tuple[int, ...],
    axis: Axis,
) -> None:
    weight = reference_float.draw(11, outputs, axis.kernel, axis.kernel, shape[3] // groups)
    x, bias = reference_float.draw(12, *shape), reference_float.draw(13, outputs)
    sums = reference_layers.convolve(weight, groups, axis, axis, x)
    packed = _native.pack_conv2d_f32(weight, groups)
    y = kernel.run(packed, window(axis, axis), x, bias, -9.0, 20.0)
    equal(y, reference_layers.bounded(sums, bias, -9.0, 20.0))


def test_values_of_any_size_equal_the_reference(kernel: _native.Conv2dF32Kernel) -> None:
    weight = reference_float.draw(1, 9, 3, 3, 2)
    x = reference_float.draw(2, 1, 9, 40, 2)
    x[:, ::4, ::5, 0] = np.resize(reference_float.EXTREMES, (1, 3, 8))
    sums = reference_layers.convolve(weight, 1, *SAME, x)
    for low, high in ((-np.inf, np.inf), (0.0, np.inf), (-0.0, 6.0)):
        y = kernel.run(_native.pack_conv2d_f32(weight), window(*SAME), x, None, low, high)
        equal(y, reference_layers.bounded(sums, None, low, high))


def test_is_near_float64(kernel: _native.Conv2dF32Kernel) -> None:
    weight, x = reference_float.draw(3, 12, 3, 3, 7), reference_float.draw(4, 1, 8, 9, 7)
    views = np.lib.stride_tricks.sliding_window_view(x[0], (3, 3), (0, 1))  # type: ignore[call-overload]
    wide = views.astype(np.float64)
    exact = np.einsum("yxcij,oijc->yxo", wide, weight)
    # Each of the 63 products of an output is added with one rounding.
    bound = 1.01 * 63 * reference_float.UNIT
    bound = bound * np.einsum("yxcij,oijc->yxo", np.abs(wide), np.abs(weight))
    y = kernel.run(_native.pack_conv2d_f32(weight), _native.Window((3, 3)), x)[0]
    assert (np.abs(y - exact) <= bound).all()


def test_the_number_of_threads_changes_nothing(kernel: _native.Conv2dF32Kernel) -> None:
    weight = _native.pack_conv2d_f32(reference_float.draw(5, 20, 3, 3, 4))
    x = reference_float.draw(6, 2, 7, 11, 4)
    expected = kernel.run(weight, window(*SAME), x).tobytes()
    for threads in (1, 2, 3, 4):
        pool = _native.ThreadPool(threads)
        assert kernel.run(weight, window(*SAME), x, pool=pool).tobytes() == expected


def test_stored_values_make_the_same_weight(kernel: _native.Conv2dF32Kernel) -> None:
    weight = _native.pack_conv2d_f32(reference_float.draw(7, 18, 3, 3, 2), 2)
    assert weight.values.shape == (2, 2, 3, 3, 2, 8)
    stored = _native.Conv2dF32Weight(18, weight.values)
    x = reference_float.draw(8, 1, 4, 5, 4)
    equal(kernel.run(stored, window(*SAME), x), kernel.run(weight, window(*SAME), x))


def test_empty_images_give_empty_outputs(kernel: _native.Conv2dF32Kernel) -> None:
    weight = _native.pack_conv2d_f32(reference_float.draw(7, 9, 3, 3, 2))
    y = kernel.run(weight, window(*SAME), np.zeros((0, 4, 5, 2), np.float32))
    assert y.shape == (0, 4, 5, 9)


def test_arguments_that_do_not_fit_are_refused(kernel: _native.Conv2dF32Kernel) -> None:
    weight = _native.pack_conv2d_f32(reference_float.draw(9, 8, 3, 3, 2))
    x = reference_float.draw(10, 1, 5, 5, 2)
    with pytest.raises(ValueError, match=r"x must have the shape \(1, 5, 5, 2\), not \(1, 5, 5, 3"):
        kernel.run(weight, window(*SAME), reference_float.draw(1, 1, 5, 5, 3))
    with pytest.raises(ValueError, match="x must be float32, not float64"):
        kernel.run(weight, window(*SAME), x.astype(np.float64))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not contiguous or not aligned"):
        kernel.run(weight, window(*SAME), np.asfortranarray(x))
    with pytest.raises(ValueError, match=r"x must have 4 dimensions"):
        kernel.run(weight, window(*SAME), x[0])
    with pytest.raises(ValueError, match=r"weight must have the shape \(1, 1, 1, 3, 2, 8\)"):
        kernel.run(weight, _native.Window((1, 3)), x)
    with pytest.raises(ValueError, match=r"bias must have the shape \(8,\), not \(2,\)"):
        kernel.run(weight, window(*SAME), x, np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="low must not be above high"):
        kernel.run(weight, window(*SAME), x, low=1, high=0)
    with pytest.raises(ValueError, match="a window that spans 3 does not fit a height of 2"):
        kernel.run(weight, _native.Window((3, 3)), x[:, :2].copy())


def test_windows_and_weights_that_do_not_fit_are_refused() -> None:
    weight = reference_float.draw(9, 9, 3, 3, 2)
    with pytest.raises(ValueError, match="kernel must be 1 to 65535, not 0"):
        _native.Window((0, 1))
    with pytest.raises(ValueError, match="stride must be 1 to 65535, not 0"):
        _native.Window((1, 1), stride=(1, 0))
    with pytest.raises(ValueError, match="padding must be 0 to 65535, not -1"):
        _native.Window((1, 1), padding=(0, 0, -1, 0))
    with pytest.raises(ValueError, match="padding must be 0 to 65535, not 65536"):
        _native.Window((1, 1), padding=(0, 0, 0, 2**16))
    with pytest.raises(ValueError, match="9 outputs do not split into 2 groups"):
        _native.pack_conv2d_f32(weight, 2)
    with pytest.raises(ValueError, match="weight must be float32, not float64"):
        _native.pack_conv2d_f32(weight.astype(np.float64))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"values must have the shape \(1, 2, 3, 3, 2, 8\)"):
        _native.Conv2dF32Weight(9, np.zeros((1, 1, 3, 3, 2, 8), np.float32))
