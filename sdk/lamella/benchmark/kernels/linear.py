"""Cases of linear layers: tokens x columns x rows, weights from memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np

from lamella import _native
from lamella.benchmark.kernels import peers, peers_ggml
from lamella.benchmark.kernels.case import Array, Call, Case, Setup, each
from lamella.benchmark.kernels.peaks import peak_of_codes

GROUP = 32
Real = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def linear_a8(setup: Setup, op: str, shape: tuple[int, ...], group: int = GROUP) -> Case:
    """Weights of 2 to 8 bits, inputs quantized on the way: `linear_w<bits>a8`."""
    tokens, cols, rows = shape
    bits = int(op.removeprefix("linear_w").removesuffix("a8"))
    x, weights = draw_input(tokens, cols), packed(setup, bits, group, rows, cols)
    kernels = setup.choose(_native.linear_a8_kernels(), op)
    turn = cycle(weights)
    return Case(
        *(op, "x".join(map(str, shape)), f"w{bits}g{group}"),
        nbytes=weights[0].codes.nbytes + weights[0].scale.nbytes,
        operations=2 * tokens * cols * rows,
        kernels={
            isa: each(kernel.run, turn, x, None, setup.pool) for isa, kernel in kernels.items()
        },
        peers=linear_peers(setup, x, rows, bits, group),
        arithmetic=peak_of_codes(bits),
    )


def linear_float(setup: Setup, op: str, shape: tuple[int, ...], group: int = GROUP) -> Case:
    """Inputs that stay float32: `linear_<kind>`, weights f32, f16, w4f32 or w8f32."""
    tokens, cols, rows = shape
    kind = op.removeprefix("linear_").removesuffix("f32") or "f32"
    x = draw_input(tokens, cols)
    weights: Sequence[_native.LinearWeight | _native.FloatWeight]
    if kind.startswith("w"):
        stored = packed(setup, int(kind[1:]), group, rows, cols)
        nbytes, weights = stored[0].codes.nbytes + stored[0].scale.nbytes, stored
    else:
        setup.memory.need(4 * rows * cols)
        weight = draw_input(rows, cols)
        values = _native.pack_float(weight.astype(np.float16) if kind == "f16" else weight).values
        nbytes = values.nbytes
        weights = [_native.FloatWeight(rows, copy) for (copy,) in setup.memory.copies(values)]
    turn = cycle(weights)
    return Case(
        *(op, "x".join(map(str, shape)), f"{kind}g{group}" if kind.startswith("w") else kind),
        nbytes=nbytes,
        operations=2 * tokens * cols * rows,
        kernels={
            isa: each(kernel.run, turn, x, pool=setup.pool)
            for isa, kernel in setup.choose(_native.linear_float_kernels(), op).items()
        },
        peers=linear_peers(setup, x, rows, None, group),
        arithmetic=32,
    )


def sparse_linear(setup: Setup, op: str, shape: tuple[int, ...], group: int = GROUP) -> Case:
    """Some codes stored, the others zero: `sparse_linear_w<bits>a8`, percent of zeros last.

    The peer is the best kernel for the same weight with all codes stored.
    """
    tokens, cols, rows, zeros = shape
    bits = int(op.removeprefix("sparse_linear_w").removesuffix("a8"))
    setup.memory.need(2 * rows * cols)
    rng, x = np.random.default_rng(2), draw_input(tokens, cols)
    keep = rng.random((rows, cols)) * 100 >= zeros
    whole = draw_weight(bits, group, rows, cols)
    weight = _native.pack_sparse(whole, keep)
    parts = (weight.codes, weight.masks, weight.starts, weight.scale)
    dense = whole.codes, whole.scale
    copies = setup.memory.copies(*parts, *dense)
    turn = cycle([_native.SparseWeight(rows, cols, bits, group, *copy[:4]) for copy in copies])
    other = cycle([_native.LinearWeight(rows, cols, bits, group, *copy[4:]) for copy in copies])
    best = _native.linear_a8_kernel(bits)
    return Case(
        *(op, "x".join(map(str, shape)), f"w{bits}g{group}"),
        nbytes=sum(part.nbytes for part in parts),
        operations=0,
        kernels={
            isa: each(kernel.run, turn, x, None, setup.pool)
            for isa, kernel in setup.choose(_native.sparse_linear_a8_kernels(), op).items()
        },
        peers={"dense": each(best.run, other, x, None, setup.pool)},
    )


def linear_peers(
    setup: Setup, x: Array, rows: int, bits: int | None, group: int
) -> Mapping[str, Call]:
    """Returns torch in float32 and, for some widths, onnxruntime and llama.cpp.

    Where inputs are not rounded, `bits` is None.
    """
    (tokens, cols), memory = x.shape, setup.memory
    found: dict[str, Call] = {}
    # Between two reads of a weight come its others and all that the kernels read in a turn.
    size = memory.nbytes // 4 if tokens < 16 else 1
    if "llamacpp" in setup.peers and bits is not None:
        found |= peers_ggml.products(x, rows, bits, size, setup.threads)
    if "onnxruntime" in setup.peers and bits in peers.NBITS:
        codes = memory.peers((rows, -(-cols // group), group * bits // 8), np.uint8, size)
        found["onnxruntime"] = peers.matmul_nbits(x, codes, bits, group, setup.threads)
    if "torch" in setup.peers:
        weights = memory.peers((rows, cols), np.float32)
        found["torch"] = peers.torch_linear(x, weights, setup.threads)
    return found


def packed(setup: Setup, bits: int, group: int, rows: int, cols: int) -> list[_native.LinearWeight]:
    """Returns a weight at as many places as there is room for."""
    setup.memory.need(2 * rows * cols)
    weight = draw_weight(bits, group, rows, cols)
    copies = setup.memory.copies(weight.codes, weight.scale)
    return [_native.LinearWeight(rows, cols, bits, group, *copy) for copy in copies]


def draw_weight(bits: int, group: int, rows: int, cols: int) -> _native.LinearWeight:
    """Returns random codes with scales of about 0.01."""
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 1 << bits, (rows, cols), dtype=np.uint8)
    scale = rng.uniform(0.01, 0.02, (rows, -(-cols // group))).astype(np.float16)
    return _native.pack_linear(codes, scale, None, bits, group)


def draw_input(tokens: int, cols: int) -> Real:
    """Returns random numbers of deviation 1."""
    return np.random.default_rng(3).standard_normal((tokens, cols), np.float32)
