"""Hooks that round activations as the integer kernels will, so that torch shows the same numbers.

A static grid gives scale * (clip(rint(x / scale) + zero, 0, 255) - zero) in float32, ties to
even: bit for bit ONNX's QuantizeLinear and DequantizeLinear. A dynamic one is symmetric int8 per
token, scale = max |x| / 127 over the last axis.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from lamella.calibration.activations import dynamic, static
from lamella.formats import Format
from lamella.frontend.model import ActivationGrid, Model


@dataclass(frozen=True, slots=True)
class InputHook:
    """Rounds the first argument of a module; without a grid, token by token."""

    grid: ActivationGrid | None

    def __call__(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Is called by torch before the module's forward."""
        if args:
            return (self._round(args[0]), *args[1:]), kwargs
        name = next(iter(kwargs))
        return args, {**kwargs, name: self._round(kwargs[name])}

    def _round(self, values: Tensor) -> Tensor:
        return dynamic(values) if self.grid is None else static(values, self.grid)


def attach(model: Model, formats: Mapping[str, Format]) -> None:
    """Adds the hooks of every layer with integer activations to a compressed model."""
    for layer in model.layers:
        activation = formats[layer.id].activation
        if activation == "float" or layer.kind == "embedding":
            continue
        target, packed = model.module.get_submodule(layer.id), model.packed[layer.id]
        target.register_forward_pre_hook(InputHook(packed.input), with_kwargs=True)


def bare(model: Model) -> nn.Module:
    """Returns the module with decoded weights and without the hooks; parameters are shared."""
    shared: dict[int, Any] = {id(tensor): tensor for tensor in model.module.parameters()}
    shared |= {id(tensor): tensor for tensor in model.module.buffers()}
    module = copy.deepcopy(model.module, shared)
    for part in module.modules():
        hooks = part._forward_pre_hooks
        for key in [key for key, hook in hooks.items() if isinstance(hook, InputHook)]:
            del hooks[key]
            part._forward_pre_hooks_with_kwargs.pop(key, None)
    return module
