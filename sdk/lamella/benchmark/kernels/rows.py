"""Cases of operations that go through float32 numbers once: activations, norms, pools, tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import cycle

import numpy as np

from lamella import _native
from lamella.benchmark.kernels import peers_torch
from lamella.benchmark.kernels.case import Array, Call, Case, Setup, each
from lamella.benchmark.kernels.decoder import store
from lamella.benchmark.kernels.linear import GROUP, draw_input, draw_weight
from lamella.benchmark.kernels.networks import Layer

EPS = 1e-5
# Arrays of ids that are looked up in turn.
LOOKUPS = 64


def elementwise(setup: Setup, op: str, shape: tuple[int, ...]) -> Case:
    """A function of one array or of two of the same shape."""
    arrays = [_draw(setup, shape) for _ in range(2 if op in ("mul", "swiglu") else 1)]
    runs = {
        isa: partial(getattr(kernel, op), *arrays, setup.pool)
        for isa, kernel in setup.choose(_native.elementwise_kernels(), "elementwise").items()
    }
    return _case(setup, (op, shape, "f32"), runs, _torch(setup, op, *arrays))


def norm(setup: Setup, op: str, shape: tuple[int, ...]) -> Case:
    """A function of whole lines: `softmax`, `rmsnorm` and `layernorm`; the norms have weights."""
    count = {"softmax": 0, "rmsnorm": 1, "layernorm": 2}[op]
    arrays = [_draw(setup, shape), *(_draw(setup, shape[1:]) for _ in range(count))]
    last = (EPS,) if count else ()
    runs = {
        isa: partial(kernel.run, *arrays, *last)
        for isa, kernel in setup.choose(getattr(_native, f"{op}_kernels")(), op).items()
    }
    return _case(setup, (op, shape, "f32"), runs, _torch(setup, op, *arrays))


def rope(setup: Setup, op: str, shape: tuple[int, ...]) -> Case:
    """Tokens x heads x half of a head's width, each token at its own position."""
    tokens, heads, half = shape
    x, (cosine, sine) = _draw(setup, (tokens, heads, 2 * half)), _draw(setup, (2, tokens, half))
    position = np.arange(tokens, dtype=np.int32)
    runs = {
        isa: partial(kernel.run, x, cosine, sine, position)
        for isa, kernel in setup.choose(_native.rope_kernels(), op).items()
    }
    return _case(setup, (op, shape, "f32"), runs, {})


def linear_input(setup: Setup, op: str, shape: tuple[int, ...]) -> Case:
    """What `linear_a8` does first: codes for tokens x columns."""
    x = _draw(setup, shape)
    runs = {
        isa: partial(kernel.run, x)
        for isa, kernel in setup.choose(_native.linear_input_kernels(), op).items()
    }
    return _case(setup, (op, shape, "f32"), runs, {})


def pool2d(setup: Setup, op: str, shape: tuple[int, ...]) -> Case:
    """`pool2d_average` and `pool2d_maximum`, padded as a convolution is."""
    size, channels, kernel, stride = shape
    kind = op.removeprefix("pool2d_")
    before, after = Layer(size, channels, channels, kernel, stride).padding
    window = _native.Window((kernel, kernel), (stride, stride), (before, before, after, after))
    x = _draw(setup, (1, size, size, channels))
    runs = {
        isa: partial(getattr(row, kind), window, x, pool=setup.pool)
        for isa, row in setup.choose(_native.pool2d_kernels(), "pool2d").items()
    }
    theirs = {}
    if "torch" in setup.peers:
        theirs["torch"] = peers_torch.pool2d(kind, (kernel, stride, before), x, setup.threads)
    return _case(setup, (op, shape, "f32"), runs, theirs)


def embed(setup: Setup, op: str, shape: tuple[int, ...]) -> Case:
    """Random rows of a table: `embed_<format>`, tokens x rows x columns. torch has float32."""
    tokens, rows, cols = shape
    setup.memory.need(4 * rows * cols)
    form = op.removeprefix("embed_")
    drawn = np.random.default_rng(4).integers(0, rows, (LOOKUPS, tokens), dtype=np.int32)
    table: _native.LinearWeight | Array
    if form.startswith("w"):
        table = draw_weight(int(form[1:]), GROUP, rows, cols)
    else:
        table = draw_input(rows, cols).astype(np.float16 if form == "f16" else np.float32)

    def look_up(run: Callable[..., object], ids: Array) -> object:
        return run(table, ids, setup.pool)

    kernels = {
        isa: each(partial(look_up, kernel.run), cycle(drawn))
        for isa, kernel in setup.choose(_native.embed_kernels(), "embed").items()
    }
    theirs = {}
    if "torch" in setup.peers:
        floats = setup.memory.peers((rows, cols), np.float32)[0]
        theirs["torch"] = peers_torch.function("embed", setup.threads, drawn[0], floats)
    name = f"{form}g{GROUP}" if form.startswith("w") else form
    return Case(op, "x".join(map(str, shape)), name, 0, 0, kernels, theirs)


def kv_store(setup: Setup, op: str, shape: tuple[int, ...]) -> Case:
    """The last tokens of a sequence into a cache: `kv_store_<format of the cache>`.

    The shape is tokens x positions x heads of the cache x width. torch has float32.
    """
    tokens, positions, heads, width = shape
    form = op.removeprefix("kv_store_")
    x = _draw(setup, (tokens, heads, width))
    setup.memory.need(4 * positions * heads * width)
    data, *scale = store(form, positions, heads, width)
    cache = _native.KvCache(data, width, *scale)
    place = np.arange(positions - tokens, positions, dtype=np.int32)
    runs = {
        isa: partial(kernel.run, x, cache, place, setup.pool)
        for isa, kernel in setup.choose(_native.kv_store_kernels(), "kv_store").items()
    }
    theirs = _torch(
        setup, "kv_store", x, store("f32", positions, heads, width)[0], place.astype(np.int64)
    )
    return _case(setup, (op, shape, form), runs, theirs)


def _torch(setup: Setup, op: str, *arrays: Array) -> Mapping[str, Call]:
    if "torch" not in setup.peers:
        return {}
    return {"torch": peers_torch.function(op, setup.threads, *arrays)}


def _case(
    setup: Setup,
    names: tuple[str, tuple[int, ...], str],
    runs: Mapping[str, Callable[[], object]],
    theirs: Mapping[str, Call],
) -> Case:
    op, shape, form = names
    return Case(
        *(op, "x".join(map(str, shape)), form),
        nbytes=0,
        operations=0,
        kernels={isa: Call(run) for isa, run in runs.items()},
        peers=theirs,
    )


def _draw(setup: Setup, shape: tuple[int, ...]) -> Array:
    """Returns random numbers; what stays in a cache must fit into the memory of a run."""
    setup.memory.need(4 * int(np.prod(shape)))
    return np.random.default_rng(1).standard_normal(shape, np.float32)
