"""One layer compressed alone: its weight swapped, its input rounded, its own noise measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from lamella.calibration import activations, data, loss
from lamella.calibration.capture import CONVOLUTIONS, layer_input
from lamella.calibration.data import Batch
from lamella.formats import Format
from lamella.frontend.layers import Layer
from lamella.frontend.model import ActivationGrid, Model
from lamella.grids import Real


class Probe:
    """Holds a changed weight in a model for the time of the context.

    `users` are the owner of the weight and the layers tied to it. Each of them also gets the
    activation grid of the format at its input, and runs once more with the float weight on the
    same input, so that the noise of its output is known.
    """

    def __init__(
        self,
        model: Model,
        users: Sequence[Layer],
        format: Format,
        values: Real,
        grids: Mapping[str, ActivationGrid],
    ) -> None:
        self.batch: Batch | None = None
        self._model = model
        self._users = users
        self._format = format
        self._grids = grids
        self._parameter = model.module.get_parameter(f"{users[0].id}.weight")
        self._float = self._parameter.data
        shaped = torch.from_numpy(values)
        shaped = shaped.t() if users[0].transposed else shaped.reshape(users[0].weight_shape)
        self._changed = shaped.contiguous().to(self._float.dtype)
        self._references: dict[str, list[Tensor]] = {}
        self._error = 0.0
        self._energy = 0.0
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Probe:
        for layer in self._users:
            module = self._model.module.get_submodule(layer.id)
            before, after = partial(self._before, layer), partial(self._after, layer)
            self._handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
            self._handles.append(module.register_forward_hook(after))
        self._parameter.data = self._changed
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._parameter.data = self._float
        for handle in self._handles:
            handle.remove()

    @property
    def sqnr_db(self) -> float:
        """Returns the signal-to-noise ratio of the outputs of all users so far."""
        return loss.decibels(self._error, self._energy)

    def _before(
        self,
        layer: Layer,
        module: torch.nn.Module,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        self._parameter.data = self._float
        try:
            reference = module.forward(*args, **kwargs)
        finally:
            self._parameter.data = self._changed
        self._references.setdefault(layer.id, []).append(reference)
        read = layer_input(args, kwargs)
        rounded = self._rounded(layer, read)
        if args:
            return (rounded, *args[1:]), kwargs
        return args, {**kwargs, next(iter(kwargs)): rounded}

    def _after(
        self, layer: Layer, module: torch.nn.Module, args: tuple[Any, ...], output: Tensor
    ) -> None:
        reference = self._references[layer.id].pop()
        mask = self.batch.mask if self.batch and layer.kind not in CONVOLUTIONS else None
        truth = data.select(reference, mask)
        self._error += float((data.select(output, mask) - truth).square().sum(dtype=torch.float64))
        self._energy += float(truth.square().sum(dtype=torch.float64))

    def _rounded(self, layer: Layer, read: Tensor) -> Tensor:
        """Returns the input as the format sees it; row numbers of an embedding stay."""
        if layer.kind == "embedding" or self._format.activation == "float":
            return read
        if self._format.activation == "static":
            return activations.static(read, self._grids[layer.id])
        # A convolution has one grid per image: all axes but the first.
        dims = tuple(range(1, read.dim())) if layer.kind in CONVOLUTIONS else (-1,)
        return activations.dynamic(read, dims)
