"""Mirrors native/kernels/elementwise: every row of kernels.inc, every row of operations.inc."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native.rows import each_kernel, kernels_here
from scipy import special

from lamella import _native
from native import reference_float as reference

Wide = npt.NDArray[np.float64]

UNARY = ("exp", "sigmoid", "tanh", "erf", "relu", "relu6", "gelu", "gelu_tanh", "silu")
UNARY += ("hard_swish",)
BINARY: dict[str, Callable[[reference.Float, reference.Float], reference.Float]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "minimum": reference.minimum,
    "maximum": reference.maximum,
    "swiglu": reference.swiglu,
}

kernel = each_kernel(_native.elementwise_kernels())


def expected_bits(
    compute: Callable[..., reference.Float], *arrays: reference.Float
) -> reference.Bits:
    with np.errstate(all="ignore"):
        values = compute(*arrays)
    return reference.bits(np.where(np.isnan(values), np.float32(np.nan), values))


@pytest.mark.parametrize("name", UNARY)
def test_one_array_gives_the_bits_of_the_reference(
    kernel: _native.ElementwiseKernel, name: str
) -> None:
    for length in (0, *reference.LENGTHS):
        x = reference.draw(length, length) if length % 2 else reference.draw_bits(length, length)
        expected = expected_bits(getattr(reference, name), x)
        np.testing.assert_array_equal(
            reference.bits(getattr(kernel, name)(x)), expected, f"{length}"
        )


@pytest.mark.parametrize("name", UNARY)
def test_extremes_give_the_bits_of_the_reference(
    kernel: _native.ElementwiseKernel, name: str
) -> None:
    expected = expected_bits(getattr(reference, name), reference.EXTREMES)
    np.testing.assert_array_equal(
        reference.bits(getattr(kernel, name)(reference.EXTREMES)), expected
    )


@pytest.mark.parametrize("name", BINARY)
def test_two_arrays_give_the_bits_of_the_reference(
    kernel: _native.ElementwiseKernel, name: str
) -> None:
    for length in (0, *reference.LENGTHS):
        fill = reference.draw if length % 2 else reference.draw_bits
        a, b = fill(length, length), fill(length + 7, length)
        expected = expected_bits(BINARY[name], a, b)
        np.testing.assert_array_equal(
            reference.bits(getattr(kernel, name)(a, b)), expected, f"{length}"
        )


@pytest.mark.parametrize("name", BINARY)
def test_every_pair_of_extremes_gives_the_bits_of_the_reference(
    kernel: _native.ElementwiseKernel, name: str
) -> None:
    a, b = (
        np.ascontiguousarray(grid) for grid in np.meshgrid(reference.EXTREMES, reference.EXTREMES)
    )
    expected = expected_bits(BINARY[name], a, b)
    np.testing.assert_array_equal(reference.bits(getattr(kernel, name)(a, b)), expected)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(
    st.sampled_from(kernels_here(_native.elementwise_kernels())),
    st.sampled_from(tuple(BINARY)),
    st.lists(
        st.tuples(st.sampled_from([0, 1, 1, 2, 3, 5, 16, 37]), st.sampled_from("ab=-")), max_size=6
    ),
    st.integers(0, 3),
    st.integers(1, 4),
)
def test_arrays_are_broadcast_as_numpy_does(
    kernel: _native.ElementwiseKernel,
    name: str,
    axes: list[tuple[int, str]],
    lacks: int,
    threads: int,
) -> None:
    # On each axis both arrays have all places, or one of them or both have one.
    a_shape = tuple(1 if which in "a-" else size for size, which in axes)
    b_shape = tuple(1 if which in "b-" else size for size, which in axes)
    while np.prod(np.broadcast_shapes(a_shape, b_shape)) > 20_000:
        a_shape, b_shape = a_shape[1:], b_shape[1:]
    b_shape = b_shape[lacks:]
    a = reference.draw_bits(1, int(np.prod(a_shape))).reshape(a_shape)
    b = reference.draw(2, int(np.prod(b_shape))).reshape(b_shape)
    expected = expected_bits(BINARY[name], *np.broadcast_arrays(a, b))
    found = getattr(kernel, name)(a, b, _native.ThreadPool(threads))
    np.testing.assert_array_equal(reference.bits(found), expected.reshape(found.shape))
    assert found.shape == np.broadcast_shapes(a.shape, b.shape)
    turned = expected_bits(BINARY[name], *np.broadcast_arrays(b, a))
    found = getattr(kernel, name)(b, a)
    np.testing.assert_array_equal(reference.bits(found), turned.reshape(found.shape))


def test_the_number_of_threads_changes_nothing(kernel: _native.ElementwiseKernel) -> None:
    for length in (1, 3, 16, 1000):
        x = reference.draw(length, length)
        for threads in (1, 2, 3, 4):
            pool = _native.ThreadPool(threads)
            assert kernel.silu(x, pool).tobytes() == kernel.silu(x).tobytes()
            assert kernel.div(x, x[:1], pool).tobytes() == kernel.div(x, x[:1]).tobytes()


def wide_gelu_tanh(x: Wide) -> Wide:
    both_sides: Wide = 1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))
    return x / 2 * both_sides


def test_activations_are_near_float64(kernel: _native.ElementwiseKernel) -> None:
    x = np.concatenate([reference.draw(0, 20_000), reference.draw(1, 20_000, scale=30.0)])
    wide, size = x.astype(np.float64), np.abs(x.astype(np.float64))
    # The inner function is off by at most 1.5 units of 1.0 and the effect of its rounded
    # argument, at most 2 units (v * tanh'(v) is below 0.45, v * erf'(v) below 0.49); half of x
    # multiplies it, and one rounding follows.
    for name, exact in (("gelu", special.ndtr(wide) * wide), ("gelu_tanh", wide_gelu_tanh(wide))):
        error = np.abs(getattr(kernel, name)(x) - exact)
        assert (error <= (size * 1.75 + np.abs(exact)) * reference.UNIT + reference.TINY).all(), (
            name
        )
    # Three products and a sum are rounded, and 1 / 6.
    exact = wide * np.clip(wide + 3, 0, 6) / 6
    error = np.abs(kernel.hard_swish(x) - exact)
    assert (error <= 5 * reference.UNIT * np.maximum(size, np.abs(exact))).all()
    # 2.5 places of sigmoid are 5 units; sigmoid may be a denormal.
    exact = wide * special.expit(wide)
    error = np.abs(kernel.silu(x) - exact)
    assert (error <= 6.01 * reference.UNIT * np.abs(exact) + (size + 1) * reference.TINY).all()


@pytest.mark.parametrize("name", ["relu", "relu6", "gelu", "gelu_tanh", "silu", "hard_swish"])
def test_activations_end_at_zero_below(kernel: _native.ElementwiseKernel, name: str) -> None:
    x = np.array([-np.inf, -3e38, -1e4, -200], np.float32)
    assert getattr(kernel, name)(x).tolist() == [0, 0, 0, 0]
    assert getattr(kernel, name)(np.array([np.inf], np.float32))[0] == (
        6 if name == "relu6" else np.inf
    )


@pytest.mark.parametrize("shape", [(), (3, 0), (2, 3, 5), (0, 4)])
def test_any_shape_is_kept(kernel: _native.ElementwiseKernel, shape: tuple[int, ...]) -> None:
    x = np.full(shape, 1.5, np.float32)
    np.testing.assert_array_equal(kernel.relu(x), x, strict=True)
    np.testing.assert_array_equal(kernel.add(x, x), x + x, strict=True)


def test_kernels_run_while_other_threads_do(kernel: _native.ElementwiseKernel) -> None:
    x = reference.draw(0, 64, 1024)
    expected = kernel.gelu(x)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: kernel.gelu(x), range(8)))
    assert all(
        np.array_equal(reference.bits(result), reference.bits(expected)) for result in results
    )


def test_arrays_of_another_kind_are_refused(kernel: _native.ElementwiseKernel) -> None:
    x = reference.draw(0, 4, 6)
    with pytest.raises(ValueError, match="x must be float32, not float64; convert it"):
        kernel.relu(x.astype(np.float64))
    with pytest.raises(ValueError, match="x must be float32, not >f4"):
        kernel.relu(x.astype(">f4"))
    with pytest.raises(ValueError, match=r"x of shape \(6, 4\) is not contiguous"):
        kernel.relu(x.T)
    with pytest.raises(ValueError, match=r"x of shape \(4,\) is not contiguous or not aligned"):
        kernel.relu(np.zeros(17, np.uint8)[1:].view(np.float32))
    with pytest.raises(ValueError, match=r"a of shape \(4, 6\) and b of shape \(6, 4\) cannot"):
        kernel.add(x, x.reshape(6, 4))
    with pytest.raises(ValueError, match="cannot be broadcast over at most 6 dimensions"):
        kernel.add(x, np.zeros((1, 1, 1, 1, 1, 4, 6), np.float32))
    with pytest.raises(TypeError):
        kernel.relu([1.0])  # type: ignore[arg-type]
