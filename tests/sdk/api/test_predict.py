"""Mirrors sdk/lamella/api/predict.py."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor, nn

from lamella.api.predict import as_tensor_function, feeds, first_tensor, from_module


class Pair(nn.Module):
    def forward(self, left: Tensor, right: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        return {"both": (left - right, left)}


def test_a_module_becomes_a_function_of_arrays() -> None:
    arrays = {"right": np.ones(3, np.float32), "left": np.full(3, 4.0, np.float32)}
    found = from_module(Pair())(arrays)
    assert list(found) == ["output_0"]
    np.testing.assert_array_equal(found["output_0"], np.full(3, 3.0))


def test_there_and_back_again_keeps_values_and_types() -> None:
    batch = {"left": torch.arange(3), "right": torch.tensor([1, 1, 1])}
    assert {name: array.dtype for name, array in feeds(batch).items()} == dict.fromkeys(
        batch, np.int64
    )
    answer = as_tensor_function(from_module(Pair()))(batch)
    assert torch.equal(answer, torch.tensor([-1, 0, 1]))


def test_the_first_tensor_is_found_however_deep() -> None:
    tensor = torch.zeros(2)
    deep = OrderedDict(logits=[(tensor, torch.ones(1))], loss=torch.ones(1))
    assert first_tensor(deep) is tensor
    assert first_tensor(tensor) is tensor
