"""Layers and models that the tests of compression share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from lamella import formats
from lamella.compression.quantize.problem import Problem

Make = Callable[..., Problem]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def make() -> Make:
    """Makes a random layer whose inputs are correlated and of unequal size."""

    def problem(
        format: str = "w4g32", rows: int = 24, cols: int = 64, problems: int = 1, seed: int = 0
    ) -> Problem:
        rng = np.random.default_rng(seed)
        weight = rng.normal(size=(rows, cols)).astype(np.float32)
        moments = []
        for _ in range(problems):
            mixing = rng.normal(size=(cols, max(2, cols // 4))) * rng.lognormal(size=(cols, 1))
            tokens = mixing @ rng.normal(size=(mixing.shape[1], 4 * cols))
            tokens += 0.1 * rng.normal(size=tokens.shape)
            moments.append(tokens @ tokens.T / tokens.shape[1])
        moment = np.stack(moments).astype(np.float32)
        return Problem("layer", weight, formats.parse(format), moment)

    return problem
