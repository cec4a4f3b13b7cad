"""Mirrors native/kernels/pool2d: every row of kernels.inc against numpy, bit for bit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from native.reference_layers import Axis
from native.rows import each_kernel
from native.windows import window

from lamella import _native
from native import reference_float, reference_layers

Float = npt.NDArray[np.float32]

# Padding is narrower than the window, so that every window meets the image.
WINDOWS = (
    (Axis(1), Axis(1)),
    (Axis(2, 2), Axis(2, 2)),
    (Axis(3, 2, 1, 1), Axis(3, 2, 0, 1)),
    (Axis(3, 1, 2, 2), Axis(2, 1, 1, 0)),
    (Axis(2, 1, 1, 1, 2), Axis(3, 3, 2, 2, 2)),
    (Axis(6), Axis(9)),
)

kernel = each_kernel(_native.pool2d_kernels())


def equal(given: Float, expected: Float) -> None:
    np.testing.assert_array_equal(given.view(np.uint32), expected.view(np.uint32), strict=True)


def check(kernel: _native.PoolKernel, down: Axis, across: Axis, x: Float) -> None:
    given = window(down, across)
    for padded in (False, True):
        expected = reference_layers.average(down, across, x, with_padding=padded)
        equal(kernel.average(given, x, padded), expected)
    equal(kernel.maximum(given, x), reference_layers.maximum(down, across, x))


@pytest.mark.parametrize("channels", [1, 7, 15, 16, 17, 33])
def test_equals_the_reference(kernel: _native.PoolKernel, channels: int) -> None:
    for seed, (down, across) in enumerate(WINDOWS):
        check(kernel, down, across, reference_float.draw(seed, 1 + seed % 2, 6, 9, channels))


def test_values_of_any_size_equal_the_reference(kernel: _native.PoolKernel) -> None:
    x = reference_float.draw_bits(1, 1, 8, 8, 50)
    for down, across in WINDOWS[:5]:
        check(kernel, down, across, x)


def test_a_window_of_the_image_gives_the_global_average(kernel: _native.PoolKernel) -> None:
    x = reference_float.draw(2, 2, 7, 7, 20)
    y = kernel.average(_native.Window((7, 7)), x)
    assert y.shape == (2, 1, 1, 20)
    exact = x.mean(axis=(1, 2), dtype=np.float64)
    # 48 additions and a division are rounded.
    bound = 1.01 * 49 * reference_float.UNIT * np.abs(x).mean(axis=(1, 2), dtype=np.float64)
    assert (np.abs(y[:, 0, 0] - exact) <= bound).all()


def test_a_nan_is_passed_over_by_the_maximum(kernel: _native.PoolKernel) -> None:
    x = np.full((1, 2, 2, 1), np.nan, np.float32)
    assert kernel.maximum(_native.Window((2, 2)), x).item() == -np.inf
    x[0, 1, 0] = -3
    assert kernel.maximum(_native.Window((2, 2)), x).item() == -3


def test_the_number_of_threads_changes_nothing(kernel: _native.PoolKernel) -> None:
    x, given = reference_float.draw(3, 2, 9, 9, 20), _native.Window((3, 3))
    expected = kernel.average(given, x).tobytes()
    for threads in (1, 2, 3, 4):
        pool = _native.ThreadPool(threads)
        assert kernel.average(given, x, pool=pool).tobytes() == expected


def test_arguments_that_do_not_fit_are_refused(kernel: _native.PoolKernel) -> None:
    x = reference_float.draw(4, 1, 5, 5, 4)
    with pytest.raises(ValueError, match="x must be float32, not float64"):
        kernel.maximum(_native.Window((2, 2)), x.astype(np.float64))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="x must have 4 dimensions"):
        kernel.average(_native.Window((2, 2)), x[0])
    with pytest.raises(ValueError, match="output 0 of an axis lies in the padding alone"):
        kernel.maximum(_native.Window((2, 2), padding=(2, 0, 0, 0)), x)
    with pytest.raises(ValueError, match="a window that spans 6 does not fit a height of 5"):
        kernel.average(_native.Window((6, 1)), x)
