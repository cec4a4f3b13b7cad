"""Mirrors native/kernels/attention: every row of kernels.inc against numpy, bit for bit."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from native.reference_attention import FORMATS, Cache, Ints, Seen
from native.reference_float import Float, bits, draw, draw_bits
from native.rows import each_kernel

from lamella import _native
from native import reference_attention as reference

# Around the 16 lanes, and the heads of real models.
DIMS = (1, 2, 7, 15, 16, 17, 31, 32, 33, 47, 64, 80, 128)
# heads and kv_heads; groups around the 4 heads that a kernel takes together.
HEADS = ((1, 1), (2, 1), (3, 3), (6, 2), (4, 1), (5, 1), (9, 3), (7, 1), (8, 1))

kernel = each_kernel(_native.attention_kernels())


def draw_cache(seed: int, form: str, positions: int, kv_heads: int, head_dim: int) -> Cache:
    return reference.store(form, draw(seed, positions, kv_heads, head_dim))


def native(cache: Cache) -> _native.KvCache:
    return _native.KvCache(cache.data(), cache.values.shape[2], cache.scale)


def numbers(count: int) -> Ints:
    return np.arange(count, dtype=np.int32)


def check(
    kernel: _native.AttentionKernel,
    query: Float,
    caches: tuple[Cache, Cache],
    mask: _native.AttentionMask,
    seen: Seen,
) -> Float:
    y = kernel.run(query, native(caches[0]), native(caches[1]), mask, 0.3)
    expected = reference.attend(query, *caches, seen, 0.3)
    np.testing.assert_array_equal(bits(y), bits(expected), strict=True)
    return y


@pytest.mark.parametrize("forms", [*product(FORMATS, FORMATS)], ids="-".join)
def test_every_pair_of_formats_equals_the_reference(
    kernel: _native.AttentionKernel, forms: tuple[str, str]
) -> None:
    for seed, head_dim in enumerate((16, 33, 64)):
        heads, kv_heads = HEADS[3 + seed]
        query = draw(seed, 3, heads, head_dim)
        keys, values = (draw_cache(seed + 1, form, 19, kv_heads, head_dim) for form in forms)
        position = np.array([18, 0, 7], np.int32)
        mask = _native.causal_mask(position, numbers(19))
        seen = reference.causal(position, numbers(19), 0)
        check(kernel, query, (keys, values), mask, seen)


@pytest.mark.parametrize("form", FORMATS)
def test_every_width_and_group_equals_the_reference(
    kernel: _native.AttentionKernel, form: str
) -> None:
    for seed, head_dim in enumerate(DIMS):
        heads, kv_heads = HEADS[seed % len(HEADS)]
        caches = tuple(draw_cache(seed + i, form, 6, kv_heads, head_dim) for i in range(2))
        query = draw(seed, 2, heads, head_dim)
        mask, seen = _native.padding_mask(), np.ones((2, 6), bool)
        check(kernel, query, (caches[0], caches[1]), mask, seen)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("positions", [1, 2, 15, 16, 17, 33, 200])
def test_is_near_float64(kernel: _native.AttentionKernel, form: str, positions: int) -> None:
    query = draw(1, 3, 6, 64)
    keys, values = (draw_cache(seed, form, positions, 2, 64) for seed in (2, 3))
    seen = np.ones((3, positions), bool)
    exact, error = reference.bounded(query, keys, values, seen, 0.125)
    y = kernel.run(query, native(keys), native(values), _native.padding_mask(), 0.125)
    assert (np.abs(y - exact) <= error).all()


@pytest.mark.parametrize("window", [0, 1, 3, 8, 2**31 - 1])
def test_a_ring_buffer_shows_what_its_positions_say(
    kernel: _native.AttentionKernel, window: int
) -> None:
    # Twelve places hold positions 8 to 17 out of order; two are unused.
    key = np.array([12, 13, 14, 15, 16, 17, -1, -(2**31), 8, 9, 10, 11], np.int32)
    position = np.array([17, 8, 12, 7, 2**31 - 1], np.int32)
    keys, values = (draw_cache(seed, "float32", 12, 1, 32) for seed in (1, 2))
    # What no query sees may hold anything.
    keys.values[6:8], values.values[6:8] = np.nan, np.inf
    seen = reference.causal(position, key, window)
    mask = _native.causal_mask(position, key, window)
    y = check(kernel, draw(4, 5, 2, 32), (keys, values), mask, seen)
    assert np.isfinite(y).all()
    assert (bits(y[3]) == 0).all(), "a query before every key sees none and gets zeros"
    assert (y[:3] != 0).all()


@pytest.mark.parametrize("window", [0, 1, 3, 20])
@pytest.mark.parametrize("heads", HEADS)
def test_a_prompt_equals_the_reference(
    kernel: _native.AttentionKernel, heads: tuple[int, int], window: int
) -> None:
    # Tokens that share what is read; their keys end, and with a window begin, at different places.
    position, form = numbers(21) + np.int32(17), FORMATS[window % 4]
    caches = tuple(draw_cache(seed, form, 38, heads[1], 40) for seed in (1, 2))
    seen = reference.causal(position, numbers(38), window)
    mask = _native.causal_mask(position, numbers(38), window)
    check(kernel, draw(3, 21, heads[0], 40), (caches[0], caches[1]), mask, seen)


@pytest.mark.parametrize("wild", [np.nan, np.inf])
def test_a_token_is_untouched_by_what_only_its_neighbours_see(
    kernel: _native.AttentionKernel, wild: float
) -> None:
    keys, values = (draw_cache(seed, "float32", 16, 1, 32) for seed in (1, 2))
    keys.values[9], values.values[9] = wild, wild
    mask = _native.causal_mask(numbers(16), numbers(16), 4)
    seen = reference.causal(numbers(16), numbers(16), 4)
    with np.errstate(invalid="ignore"):
        y = check(kernel, draw(3, 16, 2, 32), (keys, values), mask, seen)
    assert np.isfinite(y[:9]).all()
    assert np.isfinite(y[13:]).all()
    assert np.isnan(y[9:13]).all()


def test_only_the_keys_that_are_seen_decide_the_bits(kernel: _native.AttentionKernel) -> None:
    keys, values = (draw_cache(seed, "int8", 40, 2, 48) for seed in (1, 2))
    query, kept = draw(3, 2, 4, 48), np.arange(40) % 3 != 1
    y = kernel.run(query, native(keys), native(values), _native.padding_mask(kept), 0.3)
    few = []
    for cache in (keys, values):
        assert cache.scale is not None
        few.append(native(Cache("int8", cache.values[kept], cache.scale[kept])))
    alone = kernel.run(query, *few, _native.padding_mask(), 0.3)
    np.testing.assert_array_equal(bits(y), bits(alone))
    check(kernel, query, (keys, values), _native.padding_mask(kept), np.tile(kept, (2, 1)))


def test_nothing_kept_gives_zeros(kernel: _native.AttentionKernel) -> None:
    keys, values = (draw_cache(seed, "float32", 5, 1, 8) for seed in (1, 2))
    y = kernel.run(
        draw(3, 2, 1, 8), native(keys), native(values), _native.padding_mask(np.zeros(5, bool)), 1.0
    )
    assert (bits(y) == 0).all()
    empty = native(draw_cache(1, "float32", 0, 1, 8))
    y = kernel.run(draw(3, 2, 1, 8), empty, empty, _native.padding_mask(), 1.0)
    assert (bits(y) == 0).all()


@pytest.mark.parametrize("form", ["float32", "float16"])
def test_any_bits_give_the_bits_of_the_reference(
    kernel: _native.AttentionKernel, form: str
) -> None:
    # One head of NaN, infinity and denormals, and an ordinary one beside it.
    query = np.concatenate([draw_bits(1, 40, 1, 17), draw(2, 40, 1, 17)], axis=1)
    small = np.float32(1e-30 if form == "float32" else 1e-6)
    with np.errstate(all="ignore"):
        caches = []
        for seed in (3, 4):
            wild = draw_bits(seed, 7, 1, 17)
            wild[:5] = draw(6, 5, 1, 17) * small  # rows that let other rows show what they do
            both = np.concatenate([wild, draw(5, 7, 1, 17)], axis=1)
            caches.append(reference.store(form, both))
        seen = np.random.default_rng(7).random((40, 7)) < 0.4
        for token in range(40):
            check(
                kernel,
                query[token : token + 1],
                (caches[0], caches[1]),
                _native.padding_mask(seen[token]),
                seen[token : token + 1],
            )


def test_one_overwhelming_key_takes_everything(kernel: _native.AttentionKernel) -> None:
    keys, values = (draw_cache(seed, "float32", 20, 1, 16) for seed in (1, 2))
    keys.values[:], keys.values[13] = 0, 1e4
    query = np.ones((1, 1, 16), np.float32)
    y = kernel.run(query, native(keys), native(values), _native.padding_mask(), 1.0)
    np.testing.assert_array_equal(y[0, 0], values.values[13, 0])


@pytest.mark.parametrize("form", ["float32", "int4"])
@pytest.mark.parametrize("tokens", [1, 5, 23])
def test_the_number_of_threads_changes_nothing(
    kernel: _native.AttentionKernel, form: str, tokens: int
) -> None:
    keys, values = (native(draw_cache(seed, form, 30, 3, 32)) for seed in (1, 2))
    query, position = draw(3, tokens, 9, 32), numbers(tokens) + np.int32(30 - tokens)
    mask = _native.causal_mask(position, numbers(30))
    expected = kernel.run(query, keys, values, mask, 0.2).tobytes()
    for threads in (1, 2, 3, 4, 20):
        pool = _native.ThreadPool(threads)
        for _ in range(3):
            assert kernel.run(query, keys, values, mask, 0.2, pool).tobytes() == expected


def test_the_low_nibble_is_the_first_code() -> None:
    kernel = _native.attention_kernels()[-1]
    one = _native.KvCache(np.array([[[0x1F, 0x07]]], np.uint8), 3, np.ones((1, 1), np.float32))
    y = kernel.run(np.ones((1, 1, 3), np.float32), one, one, _native.padding_mask(), 1.0)
    assert y.ravel().tolist() == [7, -7, -1]


def test_caches_that_do_not_fit_are_refused() -> None:
    floats, codes = np.zeros((4, 2, 8), np.float32), np.zeros((4, 2, 8), np.int8)
    scale = np.ones((4, 2), np.float32)
    with pytest.raises(ValueError, match=r"data must be float32, float16, int8, .* not float64"):
        _native.KvCache(floats.astype(np.float64), 8)
    with pytest.raises(ValueError, match=r"data must have 3 dimensions, but its shape is \(2, 8\)"):
        _native.KvCache(floats[0], 8)
    with pytest.raises(ValueError, match=r"data must have the shape \(4, 2, 9\), not \(4, 2, 8\)"):
        _native.KvCache(floats, 9)
    with pytest.raises(ValueError, match=r"data must have the shape \(4, 2, 5\), not \(4, 2, 8\)"):
        _native.KvCache(codes.view(np.uint8), 9, scale)
    with pytest.raises(ValueError, match="not contiguous or not aligned"):
        _native.KvCache(np.asfortranarray(floats), 8)
    with pytest.raises(ValueError, match="a cache of integers needs a scale"):
        _native.KvCache(codes, 8)
    with pytest.raises(ValueError, match="a cache of floats has no scale"):
        _native.KvCache(floats, 8, scale)
    with pytest.raises(ValueError, match=r"scale must have the shape \(4, 2\), not \(4, 1\)"):
        _native.KvCache(codes, 8, scale[:, :1].copy())
    with pytest.raises(ValueError, match="head_dim must be at least 1, not 0"):
        _native.KvCache(floats[..., :0].copy(), 0)
    with pytest.raises(ValueError, match="heads of a cache must be at least 1, not 0"):
        _native.KvCache(floats[:, :0].copy(), 8)


def test_calls_that_do_not_fit_are_refused(kernel: _native.AttentionKernel) -> None:
    cache = native(draw_cache(1, "float32", 4, 2, 8))
    query, mask = draw(1, 3, 4, 8), _native.padding_mask()
    with pytest.raises(ValueError, match="query must be float32, not float16"):
        kernel.run(query.astype(np.float16), cache, cache, mask, 1.0)
    with pytest.raises(ValueError, match=r"query must have the shape \(3, 4, 8\), not \(3, 4, 7\)"):
        kernel.run(query[..., 1:].copy(), cache, cache, mask, 1.0)
    with pytest.raises(ValueError, match="query has 3 heads, which is no multiple of the 2 heads"):
        kernel.run(query[:, 1:].copy(), cache, cache, mask, 1.0)
    other = native(draw_cache(1, "float32", 5, 2, 8))
    with pytest.raises(ValueError, match=r"keys are \(4, 2, 8\), but values \(5, 2, 8\)"):
        kernel.run(query, cache, other, mask, 1.0)
    with pytest.raises(ValueError, match="scale must be finite, not inf"):
        kernel.run(query, cache, cache, mask, np.inf)
    short = _native.causal_mask(numbers(2), numbers(4))
    with pytest.raises(ValueError, match="query_position of the mask must have the length 3, not"):
        kernel.run(query, cache, cache, short, 1.0)
    short = _native.causal_mask(numbers(3), numbers(3))
    with pytest.raises(ValueError, match="key_position of the mask must have the length 4, not 3"):
        kernel.run(query, cache, cache, short, 1.0)
    with pytest.raises(ValueError, match="kept of the mask must have the length 4, not 5"):
        kernel.run(query, cache, cache, _native.padding_mask(np.ones(5, bool)), 1.0)
    with pytest.raises(ValueError, match="key_position must be int32, not int64"):
        _native.causal_mask(numbers(3), numbers(4).astype(np.int64))
    with pytest.raises(ValueError, match="window must be at least 0, not -1"):
        _native.causal_mask(numbers(3), numbers(4), -1)
    with pytest.raises(ValueError, match=r"window must be below 2\^31"):
        _native.causal_mask(numbers(3), numbers(4), 2**31)
    with pytest.raises(ValueError, match="kept must be bool, not uint8"):
        _native.padding_mask(np.ones(4, np.uint8))
