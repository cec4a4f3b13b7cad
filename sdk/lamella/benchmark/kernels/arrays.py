"""Cases of operations that only move or round: lines x width, in the cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from lamella import _native
from lamella.benchmark.kernels import peers
from lamella.benchmark.kernels.case import Array, Call, Case, Setup


def rounding(setup: Setup, op: str, shape: tuple[int, ...]) -> Case:
    """Codes of one grid: `quantize` and `dequantize`."""
    setup.memory.need(4 * int(np.prod(shape)))
    rng = np.random.default_rng(1)
    scale, zero = np.array([0.02], np.float32), np.array([128], np.uint8)
    x: Array = rng.standard_normal(shape, np.float32)
    if op == "dequantize":
        x = rng.integers(0, 256, shape, dtype=np.uint8)
    kernels = setup.choose(_native.quantize_kernels(), "quantize")
    runs: dict[str, Callable[[], object]] = {
        isa: partial(getattr(kernel, op), x, scale, zero, setup.pool)
        for isa, kernel in kernels.items()
    }
    kind = "QuantizeLinear" if op == "quantize" else "DequantizeLinear"
    return _case(setup, op, x, runs, kind, {"s": scale.reshape(()), "z": zero.reshape(())})


def transpose(setup: Setup, op: str, shape: tuple[int, ...]) -> Case:
    """Lines become columns: `transpose_<format>`."""
    setup.memory.need(4 * int(np.prod(shape)))
    form = op.removeprefix("transpose_")
    x = (
        np.random.default_rng(1)
        .integers(0, 256, shape)
        .astype(np.uint8 if form == "u8" else np.float32)
    )
    kernels = setup.choose(_native.transpose_kernels(), "transpose")
    runs: dict[str, Callable[[], object]] = {
        isa: partial(kernel.run, x, (1, 0), setup.pool) for isa, kernel in kernels.items()
    }
    return _case(setup, op, x, runs, "Transpose", {})


def _case(
    setup: Setup,
    op: str,
    x: Array,
    runs: dict[str, Callable[[], object]],
    kind: str,
    constants: dict[str, Array],
) -> Case:
    theirs = {}
    if "onnxruntime" in setup.peers:
        theirs["onnxruntime"] = peers.node(kind, x, constants, setup.threads)
    return Case(
        *(op, "x".join(map(str, x.shape)), "u8" if x.dtype == np.uint8 else "f32"),
        nbytes=0,
        operations=0,
        kernels={isa: Call(run) for isa, run in runs.items()},
        peers=theirs,
    )
