"""Mirrors native/kernels/math: the functions against float64, and the same bits in every kernel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from native.rows import each_kernel
from scipy import special

from lamella import _native
from native import reference_float as reference

Exact = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]

# What the functions are, and the largest error in units of the last place.
EXACT: dict[str, tuple[Exact, float]] = {
    "exp": (np.exp, 1.01),
    "sigmoid": (special.expit, 2.5),
    "tanh": (np.tanh, 1.5),
    "erf": (special.erf, 1.5),
}


def sweep(stride: int) -> reference.Float:
    """Returns every `stride`-th float32 of both signs, denormals and infinity among them."""
    positive = np.arange(0, 0x7F800001, stride, dtype=np.uint32)
    return np.concatenate([positive, positive | np.uint32(1 << 31)]).view(np.float32)


def plain(stride: int) -> reference.Float:
    """Returns every `stride`-th float32 of the range where the functions bend."""
    values = sweep(stride)
    return values[(np.abs(values) > 2.0**-14) & (np.abs(values) < 110)]


kernel = each_kernel(_native.elementwise_kernels())


@pytest.mark.parametrize("name", EXACT)
def test_the_error_against_float64_is_bounded(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    exact, bound = EXACT[name]
    x = np.concatenate([sweep(16381), plain(509)])
    with np.errstate(over="ignore", under="ignore"):
        wanted = exact(x.astype(np.float64))
        rounded = wanted.astype(np.float32)
    given: reference.Float = getattr(_native.elementwise_kernel(), name)(x)
    np.testing.assert_array_equal(np.isinf(given), np.isinf(rounded))
    finite = np.isfinite(rounded)
    place = np.spacing(np.abs(rounded[finite])).astype(np.float64)
    error = np.abs(given[finite].astype(np.float64) - wanted[finite]) / place
    with capsys.disabled():
        worst = x[finite][error.argmax()]
        print(f"\n{name}: at most {error.max():.3f} ulp, at {worst!r}, of {x.size} arguments")
    assert error.max() <= bound


@pytest.mark.parametrize("name", EXACT)
def test_every_kernel_gives_the_bits_of_the_reference(
    kernel: _native.ElementwiseKernel, name: str
) -> None:
    x = np.concatenate([sweep(65521), plain(16381), reference.EXTREMES])
    with np.errstate(all="ignore"):
        expected = getattr(reference, name)(x)
    expected[np.isnan(expected)] = np.nan
    np.testing.assert_array_equal(
        reference.bits(getattr(kernel, name)(x)), reference.bits(expected)
    )


@pytest.mark.parametrize("name", EXACT)
def test_every_kernel_gives_the_bits_of_the_portable_one(
    kernel: _native.ElementwiseKernel, name: str
) -> None:
    x = np.concatenate([sweep(8191), plain(1021)])
    portable = _native.elementwise_kernels()[-1]
    np.testing.assert_array_equal(
        reference.bits(getattr(kernel, name)(x)), reference.bits(getattr(portable, name)(x))
    )


@pytest.mark.parametrize(
    ("name", "below", "above"),
    [("exp", 0.0, np.inf), ("sigmoid", 0.0, 1.0), ("tanh", -1.0, 1.0), ("erf", -1.0, 1.0)],
)
def test_infinity_gives_the_limits(
    kernel: _native.ElementwiseKernel, name: str, below: float, above: float
) -> None:
    x = np.array([-np.inf, np.inf, -3e38, 3e38], np.float32)
    assert getattr(kernel, name)(x).tolist() == [below, above, below, above]


@pytest.mark.parametrize("name", EXACT)
def test_nan_gives_the_one_nan(kernel: _native.ElementwiseKernel, name: str) -> None:
    x = np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF], np.uint32).view(np.float32)
    assert reference.bits(getattr(kernel, name)(x)).tolist() == [0x7FC00000] * 4


@pytest.mark.parametrize("name", ["tanh", "erf"])
def test_odd_functions_keep_the_sign_of_zero_and_of_denormals(
    kernel: _native.ElementwiseKernel, name: str
) -> None:
    x = np.array([0.0, -0.0, 2.0**-149, -(2.0**-149), 1e-40, -1e-40], np.float32)
    given = getattr(kernel, name)(x)
    np.testing.assert_array_equal(np.signbit(given), np.signbit(x))
    np.testing.assert_array_equal(
        reference.bits(np.abs(given[0::2])), reference.bits(np.abs(given[1::2]))
    )


def test_exp_is_exact_at_zero_and_fades_through_the_denormals(
    kernel: _native.ElementwiseKernel,
) -> None:
    x = np.array([0.0, -0.0, -87.5, -100.0, -103.97, -103.98, 88.72283, 88.72284], np.float32)
    given = kernel.exp(x)
    assert given[:2].tolist() == [1.0, 1.0]
    assert (given[2:5] > 0).all()
    assert (given[2:5] < 2.0**-126).all()
    assert given[5] == 0
    assert np.isfinite(given).tolist()[6:] == [True, False]
