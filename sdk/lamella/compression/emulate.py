"""A compressed model on the kernels that devices run, so that torch shows what they give.

There is no second implementation that could drift: the layers call the kernels themselves, whose
bits are the same on every processor. What is not a layer is on the kernels where it is one of
`FUNCTIONS`; what a model writes out by itself, such as the RMSNorm of a Llama, stays torch's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from lamella import _native
from lamella.calibration.patches import images, window
from lamella.errors import LoweringError
from lamella.formats import parse
from lamella.frontend.layers import Layer
from lamella.frontend.model import Compressed, Model
from lamella.runtime import layers


def emulate(model: Model) -> nn.Module:
    """Returns the module of a compressed model with its layers on the kernels; for inference only.

    Weights stored as integers multiply inputs that are rounded to 8 bits on the way, one scale for
    each token and 32 columns; convolutions do so on static grids only and are float32 otherwise.
    Embeddings look up decoded weights. Parameters of other modules are shared.

    Raises:
        LoweringError: a layer has no kernel; names it.
    """
    shared: dict[int, Any] = {id(tensor): tensor for tensor in model.module.parameters()}
    shared |= {id(tensor): tensor for tensor in model.module.buffers()}
    module = copy.deepcopy(model.module, shared)
    for layer in model.layers:
        if layer.kind == "embedding":
            continue
        parent, _, name = layer.id.rpartition(".")
        replaced = _layer(model, layer, model.packed[layer.id])
        setattr(module.get_submodule(parent), name, replaced)
    return OnKernels(module)


class OnKernels(nn.Module):
    """A module whose functions of torch run on the kernels where there is one."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the module."""
        with _Functions(), torch.inference_mode():
            return self.module(*args, **kwargs)


class LinearOnKernels(nn.Module):
    """A linear layer, (..., cols) to (..., rows)."""

    def __init__(self, run: layers.Run) -> None:
        super().__init__()
        self.run = run

    def forward(self, input: Tensor) -> Tensor:
        """Flattens the tokens for the kernel."""
        return _tensor(self.run(_array(input.reshape(-1, input.shape[-1])))).reshape(
            *input.shape[:-1], -1
        )


class ConvolutionOnKernels(nn.Module):
    """A convolution, channels first outside and last inside."""

    def __init__(self, layer: Layer, run: layers.Run) -> None:
        super().__init__()
        self.layer = layer
        self.run = run

    def forward(self, input: Tensor) -> Tensor:
        """Moves the channels for the kernel and back."""
        given = images(input, self.layer.kind).permute(0, 2, 3, 1)
        y = _tensor(self.run(_array(given))).permute(0, 3, 1, 2)
        y = y.squeeze(-2) if self.layer.kind == "conv1d" else y
        return y if y.dim() == input.dim() else y.squeeze(0)


def _layer(model: Model, layer: Layer, compressed: Compressed) -> nn.Module:
    format = parse(compressed.format)
    bias = getattr(model.module.get_submodule(layer.id), "bias", None)
    shift = None if bias is None else _array(bias)
    if format.activation == "dynamic":
        raise LoweringError(
            f"layer {layer.id}: {format.id} has one input grid per token; the kernels round inputs "
            f"in blocks of 32 columns by themselves: use {format.id.removesuffix('a8d')}"
        )
    weight, grid = compressed.weight, compressed.input
    if layer.convolution is None:
        if weight is None:
            return LinearOnKernels(layers.float_linear(model.weight(layer), shift))
        if grid is None:
            return LinearOnKernels(layers.linear(weight, shift))
        return LinearOnKernels(layers.static_linear(weight, shift, (grid.scale, grid.zero)))
    walk = window(layer.convolution)
    moves = _native.Window(walk.kernel, walk.stride, walk.padding * 2, walk.dilation)
    if weight is None or grid is None:
        run = layers.float_convolution(model.weight(layer), shift, moves, walk.groups)
    else:
        static = (grid.scale, grid.zero)
        run = layers.static_convolution(weight, shift, static, moves, walk.groups)
    return ConvolutionOnKernels(layer, run)


class _Functions(TorchFunctionMode):
    """Sends functions of torch to the kernels."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return FUNCTIONS.get(func, func)(*args, **(kwargs or {}))


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Does what scaled_dot_product_attention does, for (batch, heads, tokens, head_dim).

    Nothing is dropped out, since this is for inference.

    Raises:
        LoweringError: a mask that the kernel does not know.
    """
    shape = (len(query), query.shape[-2], key.shape[-2])
    seen = torch.ones(shape, dtype=torch.bool)
    if is_causal:
        seen = seen.tril()
    if attn_mask is not None:
        seen = seen & _seen(attn_mask, shape)
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    parts = [[_array(x.transpose(0, 1)) for x in each] for each in (query, key, value)]
    rows = [
        layers.attention(q, k, v, sees.numpy(), factor)
        for q, k, v, sees in zip(*parts, seen, strict=True)
    ]
    return _tensor(np.stack(rows)).transpose(1, 2)


def _seen(mask: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Returns a mask of torch, added or chosen by, as (batch, tokens, positions)."""
    heads = mask if mask.dim() == 4 else mask.expand(shape).unsqueeze(1)
    wide = heads.expand(shape[0], -1, *shape[1:])
    hidden = ~wide if mask.dtype == torch.bool else wide <= torch.finfo(wide.dtype).min
    added = mask.dtype != torch.bool and not (hidden | (wide == 0)).all()
    if added or (hidden != hidden[:, :1]).any():
        raise LoweringError(
            "the attention kernel shows keys or hides them, and from all heads; this mask adds "
            "other numbers to scores, or differs between heads"
        )
    return ~hidden[:, 0]


def _softmax(x: Tensor, dim: int, _stacklevel: int = 3, dtype: torch.dtype | None = None) -> Tensor:
    moved = x.movedim(dim, -1)
    y = _tensor(_native.softmax_kernel().run(_array(moved))).movedim(-1, dim)
    return y if dtype is None else y.to(dtype)


def _layer_norm(
    x: Tensor,
    shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    rows = x.reshape(*x.shape[: x.dim() - len(shape)], -1)
    one = torch.ones(rows.shape[-1]) if weight is None else weight.reshape(-1)
    none = torch.zeros(rows.shape[-1]) if bias is None else bias.reshape(-1)
    y = _native.layernorm_kernel().run(_array(rows), _array(one), _array(none), eps)
    return _tensor(y).reshape(x.shape)


def _rms_norm(
    x: Tensor, shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    rows = x.reshape(*x.shape[: x.dim() - len(shape)], -1)
    one = torch.ones(rows.shape[-1]) if weight is None else weight.reshape(-1)
    least = torch.finfo(x.dtype).eps if eps is None else eps
    return _tensor(_native.rmsnorm_kernel().run(_array(rows), _array(one), least)).reshape(x.shape)


def _gelu(x: Tensor, approximate: str = "none") -> Tensor:
    kernel = _native.elementwise_kernel()
    return _tensor((kernel.gelu if approximate == "none" else kernel.gelu_tanh)(_array(x)))


def _elementwise(name: str) -> Callable[..., Tensor]:
    def call(x: Tensor, inplace: bool = False) -> Tensor:
        y = _tensor(getattr(_native.elementwise_kernel(), name)(_array(x)))
        return x.copy_(y) if inplace else y

    return call


def _array(tensor: Tensor) -> layers.Array:
    return np.ascontiguousarray(tensor.detach().numpy(), np.float32)


def _tensor(array: layers.Array) -> Tensor:
    return torch.from_numpy(array)


FUNCTIONS: dict[Any, Callable[..., Tensor]] = {
    F.scaled_dot_product_attention: attention,
    F.softmax: _softmax,
    F.layer_norm: _layer_norm,
    F.rms_norm: _rms_norm,
    F.gelu: _gelu,
    F.silu: _elementwise("silu"),
    F.hardswish: _elementwise("hard_swish"),
    torch.sigmoid: _elementwise("sigmoid"),
    torch.tanh: _elementwise("tanh"),
}
