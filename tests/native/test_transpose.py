"""Mirrors native/kernels/transpose: every row of kernels.inc against numpy, bit for bit."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native.rows import each_kernel, kernels_here

from lamella import _native

HERE = kernels_here(_native.transpose_kernels())
DTYPES = (np.uint8, np.float16, np.float32)
BACK = {4: (0, 2, 3, 1), 3: (0, 2, 1), 2: (1, 0)}


kernel = each_kernel(_native.transpose_kernels())


def draw(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> npt.NDArray[Any]:
    """Returns any bits, among them NaN, which must arrive as they are."""
    items = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(np.random.default_rng(seed).bytes(items), dtype).reshape(shape)


def check(kernel: _native.TransposeKernel, x: npt.NDArray[Any], order: tuple[int, ...]) -> None:
    y = kernel.run(x, order)
    expected = np.transpose(x, order)
    assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
    assert y.tobytes() == expected.tobytes(), (x.shape, order)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cols", [1, 2, 3, 4, 5, 8, 15, 16, 17, 33, 63, 64, 65, 130])
def test_a_matrix_is_turned(kernel: _native.TransposeKernel, cols: int, dtype: Any) -> None:
    for rows in (1, 2, 3, 4, 7, 8, 9, 16, 17, 31, 48, 64, 67, 129):
        check(kernel, draw((rows, cols), dtype), (1, 0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 3, 7, 9), (1, 24, 5, 13), (2, 70, 16, 16), (3, 64, 1, 1)])
def test_channels_go_last_and_back(
    kernel: _native.TransposeKernel, shape: tuple[int, ...], dtype: Any
) -> None:
    x = draw(shape, dtype)
    check(kernel, x, (0, 2, 3, 1))
    there = kernel.run(x, (0, 2, 3, 1))
    assert kernel.run(there, (0, 3, 1, 2)).tobytes() == x.tobytes()


@pytest.mark.parametrize("rank", [0, 1, 2, 3, 4, 5])
def test_every_order_of_axes(kernel: _native.TransposeKernel, rank: int) -> None:
    # A size of 1 and small ones, so that axes merge and elements widen.
    sizes = (2, 5, 1, 4, 3)[:rank]
    for number, order in enumerate(permutations(range(rank))):
        check(kernel, draw(sizes, DTYPES[number % 3]), order)
        check(kernel, draw(sizes[::-1], DTYPES[number % 3]), order)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(
    st.sampled_from(HERE),
    st.lists(st.one_of(st.integers(1, 3), st.integers(0, 40)), min_size=2, max_size=6),
    st.sampled_from(DTYPES),
    st.randoms(use_true_random=False),
)
def test_any_array_in_any_order(
    kernel: _native.TransposeKernel, shape: list[int], dtype: Any, random: Any
) -> None:
    while np.prod(shape) > 20_000:
        shape[int(np.argmax(shape))] //= 2
    order = list(range(len(shape)))
    random.shuffle(order)
    check(kernel, draw(tuple(shape), dtype), tuple(order))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 4)])
def test_an_array_without_elements_keeps_its_axes(
    kernel: _native.TransposeKernel, shape: tuple[int, ...]
) -> None:
    check(kernel, np.zeros(shape, np.float32), BACK[len(shape)])


def test_the_number_of_threads_changes_nothing(kernel: _native.TransposeKernel) -> None:
    for shape in ((1, 3, 30, 30), (5, 7, 11), (200, 90)):
        x = draw(shape, np.uint8)
        expected = kernel.run(x, BACK[len(shape)]).tobytes()
        for threads in (1, 2, 3, 4):
            pool = _native.ThreadPool(threads)
            assert kernel.run(x, BACK[len(shape)], pool).tobytes() == expected


def test_arguments_that_do_not_fit_are_refused(kernel: _native.TransposeKernel) -> None:
    x = np.zeros((4, 6), np.float32)
    with pytest.raises(ValueError, match=r"x of shape \(6, 4\) is not contiguous"):
        kernel.run(x.T, (1, 0))
    with pytest.raises(ValueError, match="1, 2 or 4 bytes, but those of float64 have 8"):
        kernel.run(x.astype(np.float64), (1, 0))
    with pytest.raises(ValueError, match=r"at most 6 dimensions, but its shape is \(1, 1, 1"):
        kernel.run(np.zeros((1,) * 7, np.uint8), tuple(range(7)))
    for order in ((0,), (0, 0), (1, 2), (-1, 0), (0, 1, 2)):
        with pytest.raises(ValueError, match="order must have each of the 2 axes of x once"):
            kernel.run(x, order)
