"""Hooks that feed the accumulators while batches run through the module."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from lamella.calibration import data, patches
from lamella.calibration.data import Batch
from lamella.calibration.observers import (
    Array,
    MomentObserver,
    Observer,
    RowObserver,
    TensorObserver,
)
from lamella.errors import CalibrationError
from lamella.frontend.layers import Layer
from lamella.frontend.model import Model

CONVOLUTIONS = ("conv1d", "conv2d", "depthwise2d")

# A convolution gives at most this many rows of a batch to its second moment. Where there are more
# (neighbouring patches are nearly the same), as many are drawn without replacement, by a seed made
# of the caller's seed, the accumulator's name and the content of the batch: the choice does not
# depend on which other batches there are, so statistics stay additive. Smaller batches are
# sampled more densely. Linear layers always use every token.
ROWS_PER_BATCH = 1024


class Capture:
    """Observes a model's layers between entering and leaving the context.

    `keys` maps layer ids to accumulator names by role. Layers of one input group and geometry
    have the same names, and only the first of them is observed.
    """

    def __init__(self, model: Model, needs: frozenset[str], seed: int) -> None:
        self.keys: dict[str, dict[str, str]] = {}
        self._model = model
        self._needs = needs
        self._seed = seed
        self._observers: dict[str, Observer] = {}
        self._batch: Batch | None = None
        self._index = 0
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Capture:
        for layer in self._model.layers:
            module = self._model.module.get_submodule(layer.id)
            names = _names(layer, self._needs)
            first = {role: key for role, key in names.items() if key not in self._observers}
            self._observers.update(
                {key: self._observer(role, layer) for role, key in first.items()}
            )
            self.keys[layer.id] = names
            before = partial(self._before, layer, first)
            after = partial(self._after, layer, first)
            self._handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
            self._handles.append(module.register_forward_hook(after, with_kwargs=True))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def run(self, batch: Batch, index: int) -> None:
        """Runs one batch through the module and adds what its layers see.

        Raises:
            CalibrationError: the module refuses the batch, or a layer reads or writes NaN or
                infinity.
        """
        self._batch, self._index = batch, index
        call(self._model, batch, index)

    def arrays(self) -> dict[str, Array]:
        """Returns every accumulator's arrays as `<key>/<field>`."""
        return {
            f"{key}/{field}": array
            for key, observer in self._observers.items()
            for field, array in observer.arrays().items()
        }

    def _observer(self, role: str, layer: Layer) -> Observer:
        if role == "moment":
            return MomentObserver()
        if role == "rows":
            return RowObserver(layer.rows)
        return TensorObserver(ranges="ranges" in self._needs, channels="channels" in self._needs)

    def _before(
        self,
        layer: Layer,
        names: Mapping[str, str],
        module: torch.nn.Module,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        read = layer_input(args, kwargs)
        if "input" in names or "moment" in names:
            self._observe(names.get("input"), self._rows(layer, read), "reads", layer)
        if "moment" in names:
            self._observers[names["moment"]].update(self._moment_rows(layer, read, names["moment"]))

    def _after(
        self,
        layer: Layer,
        names: Mapping[str, str],
        module: torch.nn.Module,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        output: Tensor,
    ) -> None:
        if "rows" in names:
            read = layer_input(args, kwargs)
            mask = self._mask(layer)
            known = mask is not None and mask.shape == read.shape
            self._observers[names["rows"]].update(read[mask] if known else read)
        self._observe(names.get("output"), self._rows(layer, output), "writes", layer)

    def _observe(self, key: str | None, rows: Tensor, verb: str, layer: Layer) -> None:
        low, high = torch.aminmax(rows) if rows.numel() else (torch.zeros(()), torch.zeros(()))
        if not bool(torch.isfinite(low) & torch.isfinite(high)):
            wrong = int((~torch.isfinite(rows)).sum())
            raise CalibrationError(
                f"layer {layer.id} {verb} NaN or infinity on batch {self._index}: {wrong} of "
                f"{rows.numel()} values; it is the first layer to do so. Its weights are finite: "
                "look at the operations just before it, and at the scale of the inputs"
            )
        if key is not None and rows.numel():
            self._observers[key].update(rows)

    def _rows(self, layer: Layer, tensor: Tensor) -> Tensor:
        """Returns a layer's input or output as (rows, channels), padding tokens left out."""
        if layer.kind in CONVOLUTIONS:
            seen = patches.images(tensor, layer.kind).movedim(1, -1)
            return seen.reshape(-1, seen.shape[-1])
        return data.select(tensor, self._mask(layer))

    def _moment_rows(self, layer: Layer, read: Tensor, key: str) -> Tensor:
        """Returns (rows, problems, cols)."""
        if layer.kind not in CONVOLUTIONS:
            return data.select(read, self._mask(layer)).unsqueeze(1)
        assert layer.convolution is not None
        walk = patches.window(layer.convolution)
        pixels = patches.images(read, layer.kind)
        batch, height, width = walk.positions(pixels.shape)
        return patches.gather(pixels, walk, self._chosen(batch * height * width, key))

    def _chosen(self, count: int, key: str) -> Tensor | None:
        if count <= ROWS_PER_BATCH:
            return None
        assert self._batch is not None
        text = f"{self._seed}/{key}/{self._batch.digest}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "little")
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
        return order[:ROWS_PER_BATCH].sort().values

    def _mask(self, layer: Layer) -> Tensor | None:
        return self._batch.mask if self._batch and layer.kind not in CONVOLUTIONS else None


def layer_input(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """Returns the tensor that a layer was called with, by position or by name."""
    found = args[0] if args else next(iter(kwargs.values()))
    assert isinstance(found, Tensor)
    return found


def call(model: Model, batch: Batch, index: int) -> Any:
    """Runs one batch through the module.

    Raises:
        CalibrationError: the module refuses the batch.
    """
    try:
        return model.module(*batch.args, **batch.kwargs)
    except (RuntimeError, TypeError, ValueError, IndexError, KeyError) as error:
        example = Batch(tuple(model.args), dict(model.kwargs), None, 0)
        reason = str(error).partition("\n")[0]
        raise CalibrationError(
            f"batch {index} ({data.shapes(batch)}) does not fit the model, which was traced with "
            f"({data.shapes(example)}): {reason}"
        ) from error


@contextmanager
def quiet(module: torch.nn.Module) -> Iterator[None]:
    """Runs a module in inference and eval mode, and restores the training flags afterwards."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for part in training:
            part.training = True


def check_weights(model: Model) -> None:
    """Refuses a model whose weights hold NaN or infinity.

    Raises:
        CalibrationError: names the first such parameter.
    """
    for name, parameter in model.module.named_parameters():
        wrong = int((~torch.isfinite(parameter)).sum())
        if wrong:
            raise CalibrationError(
                f"the weight {name} holds NaN or infinity in {wrong} of {parameter.numel()} "
                "values; the model cannot be calibrated, load or train it again"
            )


def _names(layer: Layer, needs: frozenset[str]) -> dict[str, str]:
    """Returns the accumulators that describe one layer: role to accumulator name."""
    convolution = layer.kind in CONVOLUTIONS
    names: dict[str, str] = {}
    if needs & {"ranges", "channels"}:
        names["output"] = f"output:{layer.id}"
        if layer.kind != "embedding":
            axis = "images" if convolution else "tokens"
            names["input"] = f"input:{axis}:{layer.input_group}"
    if "moments" in needs and layer.kind == "embedding":
        names["rows"] = f"rows:{layer.id}"
    elif "moments" in needs:
        geometry = patches.window(layer.convolution).id if layer.convolution else "linear"
        names["moment"] = f"moment:{geometry}:{layer.input_group}"
    return names
