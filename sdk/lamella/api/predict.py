"""One shape for everything that can be asked: named arrays in, named arrays out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from lamella.api.job import Batch
from lamella.benchmark.fidelity import Array, Feeds, Predict


def feeds(batch: Batch) -> dict[str, Array]:
    """Returns a batch as numpy arrays."""
    return {name: np.asarray(value) for name, value in batch.items()}


def from_module(module: torch.nn.Module) -> Predict:
    """Wraps a torch module; its outputs are named by position."""

    def predict(arrays: Feeds) -> Mapping[str, Array]:
        tensors = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
        with torch.inference_mode():
            return {"output_0": first_tensor(module(**tensors)).numpy()}

    return predict


def as_tensor_function(predict: Predict) -> Callable[[Batch], torch.Tensor]:
    """Wraps a predictor for a spec's `evaluate`: a batch of tensors to the first output."""

    def call(batch: Batch) -> torch.Tensor:
        output = next(iter(predict(feeds(batch)).values()))
        return torch.from_numpy(np.array(output))

    return call


def first_tensor(output: object) -> torch.Tensor:
    """Returns the first tensor of a tensor, a sequence, or a mapping such as ModelOutput."""
    while not isinstance(output, torch.Tensor):
        values = output.values() if isinstance(output, Mapping) else output
        output = next(iter(values))  # type: ignore[call-overload]
    return output
