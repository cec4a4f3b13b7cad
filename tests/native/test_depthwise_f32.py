"""Mirrors native/kernels/depthwise_f32: every row of kernels.inc against numpy, bit for bit."""

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

kernel = each_kernel(_native.depthwise_f32_kernels())


def equal(given: Float, expected: Float) -> None:
    np.testing.assert_array_equal(given.view(np.uint32), expected.view(np.uint32), strict=True)


@pytest.mark.parametrize("channels", [1, 7, 8, 15, 16, 17, 32, 40])
def test_equals_the_reference(kernel: _native.DepthwiseF32Kernel, channels: int) -> None:
    for seed, (down, across) in enumerate(WINDOWS):
        weight = reference_float.draw(seed, down.kernel, across.kernel, channels)
        x = reference_float.draw(seed + 1, 1 + seed % 2, 6, 9 + seed, channels)
        bias = reference_float.draw(seed + 2, channels) if seed % 2 else None
        sums = reference_layers.depthwise(weight, down, across, x)
        equal(
            kernel.run(weight, window(down, across), x, bias, -1.5, 6.0),
            reference_layers.bounded(sums, bias, -1.5, 6.0),
        )


# Widths and strides that have a loop of their own, in images around the outputs of a tile.
@pytest.mark.parametrize(
    "axis",
    [Axis(3, 1, 1, 1), Axis(3, 2, 0, 1), Axis(5, 1, 2, 2), Axis(5, 2, 1, 2), Axis(7, 1, 3, 3)],
)
def test_common_windows_equal_the_reference(kernel: _native.DepthwiseF32Kernel, axis: Axis) -> None:
    weight = reference_float.draw(7, axis.kernel, axis.kernel, 37)
    for width in (6, 7, 8, 13, 14, 15, 30):
        x = reference_float.draw(width, 2, 8, width, 37)
        sums = reference_layers.depthwise(weight, axis, axis, x)
        expected = reference_layers.bounded(sums, None, -np.inf, np.inf)
        equal(kernel.run(weight, window(axis, axis), x), expected)


def test_values_of_any_size_equal_the_reference(kernel: _native.DepthwiseF32Kernel) -> None:
    weight, x = reference_float.draw(1, 3, 3, 18), reference_float.draw(2, 1, 9, 40, 18)
    x[:, ::4, ::5, ::3] = np.resize(reference_float.EXTREMES, (1, 3, 8, 6))
    sums = reference_layers.depthwise(weight, *SAME, x)
    for low, high in ((-np.inf, np.inf), (0.0, np.inf), (-0.0, 6.0)):
        y = kernel.run(weight, window(*SAME), x, None, low, high)
        equal(y, reference_layers.bounded(sums, None, low, high))


def test_equals_a_convolution_with_a_group_for_each_channel(
    kernel: _native.DepthwiseF32Kernel,
) -> None:
    weight, x = reference_float.draw(3, 3, 3, 19), reference_float.draw(4, 2, 7, 8, 19)
    packed = _native.pack_conv2d_f32(weight.transpose(2, 0, 1)[..., None].copy(), 19)
    expected = _native.conv2d_f32_kernel().run(packed, window(*SAME), x)
    equal(kernel.run(weight, window(*SAME), x), expected)


def test_the_number_of_threads_changes_nothing(kernel: _native.DepthwiseF32Kernel) -> None:
    weight, x = reference_float.draw(5, 3, 3, 20), reference_float.draw(6, 2, 7, 11, 20)
    expected = kernel.run(weight, window(*SAME), x).tobytes()
    for threads in (1, 2, 3, 4):
        pool = _native.ThreadPool(threads)
        assert kernel.run(weight, window(*SAME), x, pool=pool).tobytes() == expected


def test_arguments_that_do_not_fit_are_refused(kernel: _native.DepthwiseF32Kernel) -> None:
    weight, x = reference_float.draw(7, 3, 3, 4), reference_float.draw(8, 1, 5, 5, 4)
    with pytest.raises(ValueError, match=r"weight must have the shape \(3, 3, 4\), not \(3, 3, 3"):
        kernel.run(weight[..., 1:].copy(), window(*SAME), x)
    with pytest.raises(ValueError, match="x must be float32, not float64"):
        kernel.run(weight, window(*SAME), x.astype(np.float64))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"bias must have the shape \(4,\), not \(5,\)"):
        kernel.run(weight, window(*SAME), x, np.zeros(5, np.float32))
    with pytest.raises(ValueError, match="low must not be above high"):
        kernel.run(weight, window(*SAME), x, low=np.nan)
