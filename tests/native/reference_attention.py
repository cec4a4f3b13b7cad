"""The contract of native/kernels/attention and kv_store with numpy, one query head at a time.

Every float32 operation is rounded once, as on a processor. Shapes: query (tokens, heads, head_dim),
caches (positions, kv_heads, head_dim), seen (tokens, positions).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from native.reference_float import UNIT, Float, blocks, fused, softmax, tree

FORMATS = ("float32", "float16", "int8", "int4")
TOP = {"int8": 127, "int4": 7}

Ints = npt.NDArray[np.int32]
Seen = npt.NDArray[np.bool_]
Wide = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cache:
    """Values or codes of (positions, kv_heads, head_dim), and scale (positions, kv_heads)."""

    format: str
    values: Float
    scale: Float | None

    def data(self) -> npt.NDArray[np.generic]:
        """Returns the bytes of the cache as the kernels take them."""
        if self.format != "int4":
            return self.values.astype(self.format)
        codes = (self.values + 8).astype(np.uint8)
        codes = np.pad(codes, ((0, 0), (0, 0), (0, codes.shape[2] % 2)))
        return codes[..., ::2] | codes[..., 1::2] << 4

    def decode(self) -> Float:
        """Returns what the codes stand for, rounded to float32."""
        return self.values if self.scale is None else self.values * self.scale[..., None]


def store(form: str, x: Float) -> Cache:
    """Returns the (positions, kv_heads, head_dim) values in a format."""
    if form not in TOP:
        with np.errstate(over="ignore"):
            return Cache(form, x.astype(form).astype(np.float32), None)
    top = np.float32(TOP[form])
    usable = np.isfinite(x).all(axis=2)
    largest = np.abs(np.where(usable[..., None], x, np.float32(0))).max(axis=2)
    empty = largest < np.float32(2.0**-120)
    inverse = np.where(empty | ~usable, np.float32(0), top / np.where(empty, top, largest))
    codes = np.rint(np.where(usable[..., None], x, np.float32(0)) * inverse[..., None])
    scale = np.where(empty, np.float32(0), largest / top)
    return Cache(form, codes, np.where(usable, scale, np.float32(np.nan)))


def causal(query: Ints, key: Ints, window: int) -> Seen:
    """Returns which keys each query sees."""
    distance = query[:, None].astype(np.int64) - key
    return (key >= 0) & (distance >= 0) & ((window == 0) | (distance < window))


def dots(query: Float, keys: Float) -> Float:
    """Returns the (count,) products of a (head_dim,) query with (count, head_dim) keys."""
    lanes = np.zeros((len(keys), 16), np.float32)
    for q, k in zip(blocks(query[None]), blocks(keys), strict=True):
        lanes = fused(np.broadcast_to(q, k.shape), k, lanes)
    return tree(lanes)[:, 0]


def attend(query: Float, keys: Cache, values: Cache, seen: Seen, scale: float) -> Float:
    """Returns (tokens, heads, head_dim)."""
    tokens, heads, head_dim = query.shape
    group = heads // keys.values.shape[1]
    y = np.zeros((tokens, heads, head_dim), np.float32)
    for token, head in np.ndindex(tokens, heads):
        places = np.flatnonzero(seen[token])
        if len(places) == 0:
            continue
        at = head // group
        score = dots(query[token, head], keys.values[places, at])
        if keys.scale is not None:
            score = score * keys.scale[places, at]
        weight = softmax((score * np.float32(scale))[None])[0]
        if values.scale is not None:
            weight = weight * values.scale[places, at]
        for n, place in enumerate(places):
            y[token, head] = fused(weight[n], values.values[place, at], y[token, head])
    return np.where(np.isnan(y), np.float32(np.nan), y)


def bounded(
    query: Float, keys: Cache, values: Cache, seen: Seen, scale: float
) -> tuple[Wide, Wide]:
    """Returns the output in float64, and how far float32 may be from it at most."""
    q = query.astype(np.float64)
    decoded = [
        cache.values.astype(np.float64)
        * (1.0 if cache.scale is None else cache.scale[..., None].astype(np.float64))
        for cache in (keys, values)
    ]
    group = q.shape[1] // decoded[0].shape[1]
    k, v = (np.repeat(part, group, axis=1) for part in decoded)
    score = np.einsum("thd,nhd->thn", q, k) * float(np.float32(scale))
    size = np.einsum("thd,nhd->thn", np.abs(q), np.abs(k)) * abs(float(np.float32(scale)))
    visible = np.where(seen[:, None], score, -np.inf)
    distance = visible.max(axis=2, keepdims=True) - visible
    power = np.where(seen[:, None], np.exp(-distance), 0)
    share = power / power.sum(axis=2, keepdims=True)
    count = np.where(seen[:, None], 1, 0).sum(axis=2, keepdims=True)
    # In units: a lane's chain, the tree and two scales in each score, twice for the difference;
    # then softmax, as test_softmax.py counts it, and the scale and the chain of the weighted sum.
    dot = (q.shape[2] / 16 + 1 + 4 + 2) * np.where(seen[:, None], size, 0)
    far = np.where(seen[:, None], distance, 0)
    units = 2 * (dot + dot.max(axis=2, keepdims=True)) + far + far.max(axis=2, keepdims=True)
    units = units + 2 * 2 + (count / 16 + 1 + 4) + 1 + 1 + count
    error = np.einsum("thn,nhd->thd", share * units, np.abs(v)) * 1.05 * UNIT
    return np.einsum("thn,nhd->thd", share, v), error + 1e-40
