"""Choosing the next token from logits: greedy, or seeded sampling with temperature, top-k, top-p.

Source: Fan et al. 2018, arXiv:1805.04833 (top-k); Holtzman et al. 2020, arXiv:1904.09751 (top-p).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lamella.errors import DeviceError, InputError

Real = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen.

    `temperature` divides the logits, 0 takes the most likely token. `top_k` keeps that many of
    the likeliest tokens (0: all); `top_p` then keeps the fewest whose probabilities reach it.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise InputError(f"temperature must be 0 or more, not {self.temperature}")
        if self.top_k < 0:
            raise InputError(f"top_k must be 0 (all tokens) or more, not {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top_p must be in (0, 1], not {self.top_p}")
        if self.seed < 0:
            raise InputError(f"the seed must be 0 or more, not {self.seed}")


GREEDY = Sampling()


class Sampler:
    """Draws tokens; the same seed and logits give the same tokens."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._generator = np.random.default_rng(sampling.seed)

    def draw(self, logits: npt.NDArray[np.floating]) -> int:
        """Returns the next token for (vocabulary,) logits.

        Raises:
            DeviceError: the logits hold NaN or plus infinity, or no finite value at all.
        """
        cumulative = np.cumsum(probabilities(logits, self._sampling))
        # The last entry becomes exactly 1, above every draw from [0, 1).
        cumulative /= cumulative[-1]
        return int(np.searchsorted(cumulative, self._generator.random(), side="right"))


def probabilities(logits: npt.NDArray[np.floating], sampling: Sampling) -> Real:
    """Returns the (vocabulary,) probabilities that `sampling` gives tokens; ties prefer low ids.

    Raises:
        DeviceError: the logits hold NaN or plus infinity, or no finite value at all.
    """
    values = logits.astype(np.float64)
    if np.isnan(values).any() or not np.isfinite(values.max(initial=-np.inf)):
        raise DeviceError(
            f"no token can be chosen: of {values.size} logits {int(np.isnan(values).sum())} are "
            f"NaN and {int(np.isinf(values).sum())} infinite"
        )
    if sampling.temperature == 0:
        certain = np.zeros(values.size)
        certain[values.argmax()] = 1.0
        return certain
    # Shifted first, so that a tiny temperature gives minus infinity, never NaN.
    with np.errstate(over="ignore"):
        weights = np.exp((values - values.max()) / sampling.temperature)
    order = np.argsort(-weights, kind="stable")
    kept = order[: sampling.top_k or None]
    likely = weights[kept] / weights[kept].sum()
    before = np.cumsum(likely) - likely
    kept = kept[before < sampling.top_p]
    result = np.zeros(values.size)
    result[kept] = weights[kept] / weights[kept].sum()
    return result
