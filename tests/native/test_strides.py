"""Every operation takes a contiguous array as it is and refuses any other with a sentence.

No operation makes a copy on its own: a view that NumPy calls contiguous gives the result of its
copy, and one with steps, exchanged axes or an odd address is named in a ValueError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamella import _native

Array = npt.NDArray[Any]
Case = tuple[Callable[..., Any], tuple[Array, ...]]

GENERATOR = np.random.default_rng(0)
ORDER = (2, 0, 1)
WINDOW = _native.Window((2, 2))


def real(*shape: int) -> Array:
    return GENERATOR.standard_normal(shape).astype(np.float32)


def code(*shape: int) -> Array:
    return GENERATOR.integers(0, 16, shape, dtype=np.uint8)


def place(*values: int) -> Array:
    return np.array(values, np.int32)


def linear(x: Array, codes: Array, scale: Array, bias: Array) -> Array:
    weight = _native.pack_linear(codes, scale, None, 4, 0)
    return _native.linear_a8_kernel(4).run(weight, x, bias)


def sparse(x: Array, keep: Array) -> Array:
    weight = _native.pack_linear(code(9, 20), real(9, 1), None, 4, 0)
    weight = _native.LinearWeight(9, 20, 4, 0, 0 * weight.codes + 3, 0 * weight.scale + 1)
    return _native.sparse_linear_a8_kernel(4).run(_native.pack_sparse(weight, keep), x)


def linear_float(x: Array, weight: Array, bias: Array) -> Array:
    return _native.linear_float_kernel("f32").run(_native.pack_float(weight), x, bias)


def convolve(x: Array, codes: Array, scale: Array) -> Array:
    weight = _native.pack_conv2d(codes, 4)
    layer = _native.Conv2dLayer(weight, input=(0.1, 3), scale=scale)
    return _native.conv2d_a8_kernel(4).run(layer, x)


def depthwise(x: Array, codes: Array, residual: Array) -> Array:
    scale = np.ones(codes.shape[0], np.float32)
    weight = _native.pack_depthwise(codes)
    layer = _native.DepthwiseLayer(weight, input=(0.1, 3), scale=scale, residual=(1.0, 0))
    return _native.depthwise_a8_kernel().run(layer, x, residual)


def convolve_real(x: Array, weight: Array, bias: Array) -> Array:
    packed = _native.pack_conv2d_f32(weight)
    return _native.conv2d_f32_kernel().run(packed, WINDOW, x, bias)


def depthwise_real(x: Array, weight: Array) -> Array:
    return _native.depthwise_f32_kernel().run(weight, WINDOW, x)


def attend(query: Array, keys: Array, values: Array) -> Array:
    caches = _native.KvCache(keys, 8), _native.KvCache(values, 8)
    return _native.attention_kernel().run(query, *caches, _native.padding_mask(), 0.5)


def store(x: Array, places: Array) -> Array:
    cache = np.zeros((5, 2, 6), np.float32)
    _native.kv_store_kernel().run(x, _native.KvCache(cache, 6), places)
    return cache


def draw_token(logits: Array) -> Array:
    return np.array(_native.sample_kernel().argmax(logits))


ZERO = place(3, 100, 7, 0, 255).astype(np.uint8)
CASES: dict[str, Case] = {
    "pack": (lambda codes: _native.pack_kernel().pack(codes, 4), (code(6, 9),)),
    "linear_input": (lambda x: _native.linear_input_kernel().run(x)[1], (real(3, 70),)),
    "linear_a8": (linear, (real(3, 20), code(9, 20), real(9, 1), real(9))),
    "sparse_linear_a8": (sparse, (real(3, 20), code(9, 20) < 9)),
    "linear_float": (linear_float, (real(3, 20), real(9, 20), real(9))),
    "conv2d_a8": (convolve, (code(2, 4, 5, 6), code(9, 2, 2, 6), real(9))),
    "depthwise_a8": (depthwise, (code(2, 4, 5, 6), code(6, 2, 2), code(2, 3, 4, 6))),
    "conv2d_f32": (convolve_real, (real(2, 4, 5, 6), real(9, 2, 2, 6), real(9))),
    "depthwise_f32": (depthwise_real, (real(2, 4, 5, 6), real(2, 2, 6))),
    "pool2d": (lambda x: _native.pool2d_kernel().maximum(WINDOW, x), (real(2, 4, 5, 6),)),
    "elementwise": (_native.elementwise_kernel().sub, (real(4, 1, 6), real(5, 1))),
    "softmax": (_native.softmax_kernel().run, (real(3, 4, 5),)),
    "rmsnorm": (lambda *x: _native.rmsnorm_kernel().run(*x, 1e-5), (real(3, 5), real(5))),
    "layernorm": (
        lambda *x: _native.layernorm_kernel().run(*x, 1e-5),
        (real(3, 5), real(5), real(5)),
    ),
    "rope": (
        _native.rope_kernel().run,
        (real(3, 2, 8), real(4, 4), real(4, 4), place(2, 0, 1)),
    ),
    "quantize": (_native.quantize_kernel().quantize, (real(3, 5), real(5) ** 2 + 1, ZERO)),
    "transpose": (lambda x: _native.transpose_kernel().run(x, ORDER), (real(3, 4, 5),)),
    "attention": (attend, (real(3, 4, 8), real(6, 2, 8), real(6, 2, 8))),
    "kv_store": (store, (real(3, 2, 6), place(4, 0, 2))),
    "embed": (_native.embed_kernel().run, (real(7, 5), place(6, 0, 3))),
    "sample": (draw_token, (real(50),)),
}


def test_every_operation_has_a_case() -> None:
    # `peak` takes no arrays.
    assert {*CASES, "peak"} == {row["operation"] for row in _native.kernels()}


@st.composite
def views(draw: st.DrawFn, values: Array) -> Array:
    """Returns the values in memory of other steps and another order of axes."""
    order = draw(st.permutations(range(values.ndim)))
    steps = draw(st.tuples(*(st.sampled_from([1, 1, 1, 2, -1]) for _ in order)))
    stored = [values.shape[axis] * abs(steps[axis]) for axis in order]
    shift = draw(st.sampled_from([0, 0, 0, 1]))
    memory = np.zeros(values.itemsize * int(np.prod(stored)) + shift, np.uint8)[shift:]
    axes = memory.view(values.dtype).reshape(stored).transpose(np.argsort(order))
    view = axes[tuple(slice(None, None, step) for step in steps)]
    view[...] = values
    return view


@pytest.mark.parametrize("name", CASES)
@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.data())
def test_a_view_is_taken_as_it_is_or_refused(name: str, data: st.DataObject) -> None:
    call, arrays = CASES[name]
    number = data.draw(st.integers(0, len(arrays) - 1))
    view = data.draw(views(arrays[number]))
    given_arrays = (*arrays[:number], view, *arrays[number + 1 :])
    if view.flags.c_contiguous and view.flags.aligned:
        np.testing.assert_array_equal(call(*given_arrays), call(*arrays), strict=True)
        return
    with pytest.raises(ValueError, match="is not contiguous or not aligned; pass a copy of it"):
        call(*given_arrays)
