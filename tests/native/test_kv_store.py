"""Mirrors native/kernels/kv_store: rows of float32 in each format of a cache, and read again."""

from __future__ import annotations

import numpy as np
import pytest
from native.reference_attention import FORMATS, TOP, Cache, Ints
from native.reference_float import Float, bits, draw, draw_bits
from native.rows import each_kernel

from lamella import _native
from native import reference_attention as reference

DTYPES = {"float32": np.float32, "float16": np.float16, "int8": np.int8, "int4": np.uint8}

kernel = each_kernel(_native.kv_store_kernels())


def empty(form: str, positions: int, kv_heads: int, head_dim: int) -> _native.KvCache:
    """Returns a cache whose every byte is 0x55."""
    items = (head_dim + 1) // 2 if form == "int4" else head_dim
    data = np.zeros((positions, kv_heads, items), DTYPES[form])
    data.view(np.uint8)[:] = 0x55
    scale = np.full((positions, kv_heads), 5, np.float32) if form in TOP else None
    return _native.KvCache(data, head_dim, scale)


def numbers(*places: int) -> Ints:
    return np.array(places, np.int32)


def check(cache: _native.KvCache, place: Ints, expected: Cache) -> None:
    given, wanted = cache.data[place], expected.data()
    np.testing.assert_array_equal(given.view(np.uint8), wanted.view(np.uint8), strict=True)
    if expected.scale is not None:
        assert cache.scale is not None
        np.testing.assert_array_equal(bits(cache.scale[place]), bits(expected.scale))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("head_dim", [1, 2, 7, 15, 16, 17, 64, 80, 129])
def test_equals_the_reference_and_writes_nothing_else(
    kernel: _native.KvStoreKernel, form: str, head_dim: int
) -> None:
    x, place = draw(head_dim, 4, 3, head_dim), numbers(5, 0, 7, 3)
    x *= np.float32(10.0) ** np.arange(-6, 6).reshape(4, 3, 1).astype(np.float32)
    cache = empty(form, 9, 3, head_dim)
    kernel.run(x, cache, place)
    check(cache, place, reference.store(form, x))
    others = np.setdiff1d(np.arange(9), place)
    assert (cache.data.view(np.uint8)[others] == 0x55).all()
    assert cache.scale is None or (cache.scale[others] == 5).all()


@pytest.mark.parametrize("form", FORMATS)
def test_any_bits_give_the_bytes_of_the_reference(kernel: _native.KvStoreKernel, form: str) -> None:
    x = draw_bits(3, 300, 1, 5)
    x[:150] = np.where(np.isfinite(x[:150]), x[:150], np.float32(1))
    x[:20] = np.float32(2.0**-120) * np.linspace(0.5, 2, 20, dtype=np.float32)[:, None, None]
    cache, place = empty(form, 300, 1, 5), np.arange(300, dtype=np.int32)
    kernel.run(x, cache, place)
    if form in TOP:
        with np.errstate(all="ignore"):
            check(cache, place, reference.store(form, x))
        return
    with np.errstate(all="ignore"):
        wanted = x.astype(form)
    # Which NaN a NaN becomes is not part of the contract.
    np.testing.assert_array_equal(np.isnan(cache.data), np.isnan(wanted))
    number = ~np.isnan(wanted)
    np.testing.assert_array_equal(cache.data[number].tobytes(), wanted[number].tobytes())


@pytest.mark.parametrize("form", sorted(TOP))
def test_ties_go_to_even_codes(kernel: _native.KvStoreKernel, form: str) -> None:
    top = TOP[form]
    # With a largest value of `top` the scale is 1, and these lie in the middle of two codes.
    x = np.array([top, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, -top], np.float32).reshape(1, 1, 8)
    cache = empty(form, 1, 1, 8)
    kernel.run(x, cache, numbers(0))
    expected = np.array([top, 0, 2, 2, 0, -2, -2, -top], np.float32).reshape(1, 1, 8)
    check(cache, numbers(0), Cache(form, expected, np.ones((1, 1), np.float32)))


@pytest.mark.parametrize("form", sorted(TOP))
def test_the_error_is_half_a_step(kernel: _native.KvStoreKernel, form: str) -> None:
    x = draw(1, 50, 2, 64)
    cache, place = empty(form, 50, 2, 64), np.arange(50, dtype=np.int32)
    kernel.run(x, cache, place)
    decoded = reference.store(form, x).decode().astype(np.float64)
    # Beside half a step: the roundings of the scale, its inverse and two products.
    step = np.abs(x).max(axis=2, keepdims=True).astype(np.float64) / TOP[form]
    assert (np.abs(decoded - x) <= step * (0.5 + TOP[form] * 4 * 2.0**-24)).all()


@pytest.mark.parametrize("form", FORMATS)
def test_attention_reads_what_was_stored(kernel: _native.KvStoreKernel, form: str) -> None:
    rows = [draw(seed, 21, 2, 40) for seed in (1, 2)]
    place = np.random.default_rng(3).permutation(24)[:21].astype(np.int32)
    stored, decoded, values = [], [], []
    for x in rows:
        cache, plain = empty(form, 24, 2, 40), empty("float32", 24, 2, 40)
        kernel.run(x, cache, place)
        values.append(reference.store(form, x))
        kernel.run(values[-1].decode(), plain, place)
        stored.append(cache)
        decoded.append(plain)
    kept = np.zeros(24, bool)
    kept[place] = True
    mask, query = _native.padding_mask(kept), draw(4, 3, 6, 40)
    attention = _native.attention_kernel()
    y = attention.run(query, stored[0], stored[1], mask, 0.2)
    plain = attention.run(query, decoded[0], decoded[1], mask, 0.2)
    if form not in TOP:
        np.testing.assert_array_equal(bits(y), bits(plain))
        return
    # Scales are taken out of the sums, so that both are within the bound of exact arithmetic.
    everything = np.ones((3, 21), bool)
    exact, error = reference.bounded(query, values[0], values[1], everything, 0.2)
    assert (np.abs(y - exact) <= error).all()
    assert (np.abs(plain - exact) <= error).all()


@pytest.mark.parametrize("form", FORMATS)
def test_the_number_of_threads_changes_nothing(kernel: _native.KvStoreKernel, form: str) -> None:
    x, place = draw(1, 30, 2, 33), np.arange(30, dtype=np.int32)[::-1].copy()
    alone = empty(form, 30, 2, 33)
    kernel.run(x, alone, place)
    for threads in (1, 2, 3, 40):
        cache = empty(form, 30, 2, 33)
        kernel.run(x, cache, place, _native.ThreadPool(threads))
        assert cache.data.tobytes() == alone.data.tobytes()


def test_what_does_not_fit_is_refused(kernel: _native.KvStoreKernel) -> None:
    x: Float = draw(1, 2, 3, 8)
    cache = empty("float16", 4, 3, 8)
    with pytest.raises(ValueError, match=r"x must have the shape \(2, 3, 8\), not \(2, 2, 8\)"):
        kernel.run(x[:, 1:].copy(), cache, numbers(0, 1))
    with pytest.raises(ValueError, match="x must be float32, not float16"):
        kernel.run(x.astype(np.float16), cache, numbers(0, 1))
    with pytest.raises(ValueError, match=r"place must have the shape \(2,\), not \(3,\)"):
        kernel.run(x, cache, numbers(0, 1, 2))
    for at in (-1, 4):
        with pytest.raises(ValueError, match=rf"the place {at} of token 1 is outside the cache"):
            kernel.run(x, cache, numbers(0, at))
    with pytest.raises(ValueError, match="the place 2 of token 1 is that of an earlier token"):
        kernel.run(x, cache, numbers(2, 2))
    data = np.zeros((4, 3, 8), np.float16)
    data.flags.writeable = False
    with pytest.raises(ValueError, match="the cache is read-only"):
        kernel.run(x, _native.KvCache(data, 8), numbers(0, 1))


def test_the_example_of_the_documentation_is_true(kernel: _native.KvStoreKernel) -> None:
    cache = empty("int4", 1, 1, 4)
    kernel.run(np.array([[[7, -3.5, 1, 0]]], np.float32), cache, numbers(0))
    assert cache.data.tobytes() == bytes.fromhex("4f 89")
    assert cache.scale is not None
    assert cache.scale.tolist() == [[1]]
