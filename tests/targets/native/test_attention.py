"""Mirrors native/engine/ops/attention.cc: every cache and mask against the kernel alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from one_call import Case, fuzz

from lamella import _native

Array = npt.NDArray[Any]
BATCH, TOKENS, HEADS, KV_HEADS, WIDTH, POSITIONS = 2, 5, 4, 2, 19, 37
SCALE = 0.21


def cache(rng: np.random.Generator, bits: int) -> tuple[Array, Array | None]:
    """Returns the codes of a batch of caches and their scales, as `kv_store` writes them."""
    x = rng.normal(size=(BATCH, POSITIONS, KV_HEADS, WIDTH)).astype(np.float32)
    if bits == 32:
        return x, None
    if bits == 16:
        return x.astype(np.float16), None
    scale = rng.uniform(0.01, 0.1, x.shape[:3]).astype(np.float32)
    if bits == 8:
        return rng.integers(-127, 128, x.shape, np.int8), scale
    return rng.integers(0, 256, (*x.shape[:3], (WIDTH + 1) // 2), np.uint8), scale


def attend(operands: list[Array | None], bits: int, window: int = 0) -> Case:
    """Returns the case whose result is that of the kernel, sequence by sequence."""
    query, keys, key_scale, values, value_scale, at, places, kept = operands
    rows = []
    for i in range(len(query)):
        caches = [
            _native.KvCache(codes[i], WIDTH, None if scale is None else scale[i])
            for codes, scale in ((keys, key_scale), (values, value_scale))
        ]
        if at is None:
            mask = _native.padding_mask(None if kept is None else kept[i])
        else:
            mask = _native.causal_mask(at, places, window)
        rows.append(_native.attention_kernel().run(query[i], *caches, mask, SCALE))
    everything = [i for i, array in enumerate(operands) if array is not None]
    return Case("attention", operands, np.stack(rows), (bits, window), (SCALE,), everything)


def operands(bits: int, mask: str, seed: int = 0) -> list[Array | None]:
    rng = np.random.default_rng(seed)
    query = rng.normal(size=(BATCH, TOKENS, HEADS, WIDTH)).astype(np.float32)
    at = places = kept = None
    if mask == "causal":
        at = np.arange(30, 30 + TOKENS, dtype=np.int32)
        places = np.where(np.arange(POSITIONS) % 7 == 3, -1, np.arange(POSITIONS)).astype(np.int32)
    elif mask == "kept":
        kept = rng.random((BATCH, POSITIONS)) < 0.6
    return [query, *cache(rng, bits), *cache(rng, bits), at, places, kept]


@pytest.mark.parametrize("bits", [32, 16, 8, 4])
@pytest.mark.parametrize("mask", ["none", "kept", "causal"])
def test_equals_the_kernel(bits: int, mask: str) -> None:
    attend(operands(bits, mask), bits, window=9 if mask == "causal" else 0).check()


def test_what_does_not_fit_is_refused() -> None:
    good = operands(32, "kept")
    assert attend(good, 32).run().shape == good[0].shape
    for place, wrong, sentence in [
        (1, good[1][:, :, :1], "must have the sizes"),
        (2, np.ones((BATCH, POSITIONS, KV_HEADS), np.float32), "floats has no scale"),
        (5, np.zeros(TOKENS, np.int32), "or of neither"),
        (7, np.ones((BATCH, POSITIONS - 1), np.bool_), "must have the sizes"),
        (0, np.ones((BATCH, TOKENS, 3, WIDTH), np.float32), "no multiple"),
    ]:
        bad = [wrong if i == place else array for i, array in enumerate(good)]
        like = np.zeros(np.shape(bad[0]), np.float32)
        Case("attention", bad, like, (32, 0), (SCALE,), range(9)).refused(sentence)
    Case("attention", good, good[0], (7, 0), (SCALE,)).refused("no cache has its bits")


@pytest.mark.parametrize(("bits", "mask"), [(32, "kept"), (4, "causal")])
def test_a_changed_program_never_reads_outside(bits: int, mask: str) -> None:
    case = attend(operands(bits, mask), bits)
    assert fuzz(*case.program()) > 100
