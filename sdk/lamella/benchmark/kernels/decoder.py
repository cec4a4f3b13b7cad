"""Cases of what a decoder has beside its linear layers: attention and the choice of a token."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import cycle

import numpy as np

from lamella import _native
from lamella.benchmark.kernels import peers
from lamella.benchmark.kernels.case import Array, Call, Case, Setup, each

SAMPLING = {
    "sample": _native.Sampling(temperature=1),
    "sample_top_k": _native.Sampling(temperature=1, top_k=50),
    "sample_top_p": _native.Sampling(temperature=1, top_p=0.9),
}


def attention(setup: Setup, op: str, shape: tuple[int, ...]) -> Case:
    """The last tokens of a sequence over a cache: `attention_<format of the cache>`.

    The shape is tokens x positions x heads x heads of the cache x width of a head. A token sees
    what stands before it and itself.
    """
    tokens, positions, heads, kv_heads, width = shape
    form = op.removeprefix("attention_")
    setup.memory.need(8 * positions * kv_heads * width)
    query = np.random.default_rng(2).standard_normal((tokens, heads, width), np.float32)
    cache = store(form, positions, kv_heads, width)
    mask = _native.causal_mask(
        np.arange(positions - tokens, positions, dtype=np.int32),
        np.arange(positions, dtype=np.int32),
    )
    scale = width**-0.5
    copies = setup.memory.copies(*cache, *cache)
    half = len(cache)
    turn = cycle(
        [
            tuple(_native.KvCache(part[0], width, *part[1:]) for part in (copy[:half], copy[half:]))
            for copy in copies
        ]
    )

    def run(attend: Callable[..., object], pair: tuple[_native.KvCache, _native.KvCache]) -> object:
        return attend(query, *pair, mask, scale, setup.pool)

    seen = tokens * positions - tokens * (tokens - 1) // 2
    return Case(
        *(op, "x".join(map(str, shape)), form),
        nbytes=2 * sum(part.nbytes for part in cache),
        operations=4 * seen * heads * width,
        kernels={
            isa: each(partial(run, kernel.run), turn)
            for isa, kernel in setup.choose(_native.attention_kernels(), "attention").items()
        },
        peers=_attention_peers(setup, query, positions, kv_heads),
        arithmetic=32,
    )


def store(form: str, positions: int, kv_heads: int, width: int) -> tuple[Array, ...]:
    """Returns the arrays of a cache of random numbers in one of the four formats."""
    rng = np.random.default_rng(1)
    values = rng.standard_normal((positions, kv_heads, width), np.float32)
    if form == "f32":
        return (values,)
    if form == "f16":
        return (values.astype(np.float16),)
    scale = np.full((positions, kv_heads), 0.02, np.float32)
    if form == "int8":
        return (rng.integers(-127, 128, values.shape, dtype=np.int8), scale)
    shape = (positions, kv_heads, -(-width // 2))
    low, high = rng.integers(1, 16, (2, *shape), dtype=np.uint8)
    return (low | high << 4, scale)


def choice(setup: Setup, op: str, shape: tuple[int, ...]) -> Case:
    """A token of so many logits: `argmax`, or `sample` with a cut or none."""
    logits = np.random.default_rng(1).standard_normal(shape, np.float32) * np.float32(3)
    kernels = setup.choose(_native.sample_kernels(), "sample")
    theirs = {"argmax": peers.torch_argmax, "sample": peers.torch_sample}.get(op)
    return Case(
        *(op, str(shape[0]), "f32"),
        nbytes=0,
        operations=0,
        kernels={
            isa: Call(
                partial(kernel.argmax, logits)
                if op == "argmax"
                else partial(kernel.sample, logits, SAMPLING[op])
            )
            for isa, kernel in kernels.items()
        },
        peers={"torch": theirs(logits, setup.threads)} if theirs and "torch" in setup.peers else {},
    )


def _attention_peers(setup: Setup, query: Array, positions: int, kv_heads: int) -> dict[str, Call]:
    """Returns torch on caches of float32, in the order that it likes best."""
    tokens, _, width = query.shape
    if "torch" not in setup.peers or tokens not in (1, positions):
        return {}
    parts = setup.memory.peers((2, kv_heads, positions, width), np.float32)
    caches = [(keys, values) for keys, values in parts]
    by_head = np.ascontiguousarray(query.transpose(1, 0, 2))
    return {"torch": peers.torch_attention(by_head, caches, tokens > 1, setup.threads)}
