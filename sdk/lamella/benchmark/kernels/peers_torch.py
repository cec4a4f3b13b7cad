"""Operations of torch on float32 that take arrays and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F

from lamella.benchmark.kernels.case import Array, Call

Tensor = torch.Tensor


def _swiglu(a: Tensor, b: Tensor) -> Tensor:
    return F.silu(a) * b


def _softmax(x: Tensor) -> Tensor:
    return F.softmax(x, dim=-1)


def _rmsnorm(x: Tensor, weight: Tensor) -> Tensor:
    return F.rms_norm(x, weight.shape, weight, 1e-5)


def _layernorm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.layer_norm(x, weight.shape, weight, bias, 1e-5)


def _kv_store(x: Tensor, cache: Tensor, place: Tensor) -> Tensor:
    return cache.index_copy_(0, place, x)


FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "gelu": F.gelu,
    "silu": F.silu,
    "mul": torch.mul,
    "swiglu": _swiglu,
    "softmax": _softmax,
    "rmsnorm": _rmsnorm,
    "layernorm": _layernorm,
    "kv_store": _kv_store,
    "embed": F.embedding,
}


def function(name: str, threads: int, *arrays: Array) -> Call:
    """One of `FUNCTIONS`."""
    torch.set_num_threads(threads)
    run, tensors = FUNCTIONS[name], [torch.from_numpy(array) for array in arrays]
    return Call(lambda: run(*tensors))


def pool2d(kind: str, sides: tuple[int, int, int], x: Array, threads: int) -> Call:
    """The `average` or `maximum` of windows of (kernel, stride, padding) in an image.

    `x` is (images, height, width, channels); below and to the right, windows may end outside.
    """
    torch.set_num_threads(threads)
    image, (kernel, stride, padding) = torch.from_numpy(x).permute(0, 3, 1, 2), sides
    if kind == "average":
        return Call(lambda: F.avg_pool2d(image, kernel, stride, padding, True, False))
    return Call(lambda: F.max_pool2d(image, kernel, stride, padding, ceil_mode=True))
