"""The contract of native/kernels/sample in exact integers, and its probabilities in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from native.reference_float import Float, exp

Wide = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments of `_native.Sampling`."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    step: int = 0


def splitmix(seed: int, step: int) -> int:
    """Returns number `step` of a generator: Vigna, prng.di.unimi.it/splitmix64.c."""
    mask = 2**64 - 1
    z = (seed + (step + 1) * 0x9E3779B97F4A7C15) & mask
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
    return z ^ z >> 31


def token(logits: Float, options: Options) -> int:
    """Returns the token that every kernel must draw."""
    if options.temperature == 0:
        return int(logits.argmax())
    with np.errstate(over="ignore"):
        power = exp((logits - logits.max()) / np.float32(options.temperature))
    weight = [int(share) for share in np.ldexp(power.astype(np.float64), 40)]
    order = sorted(range(len(logits)), key=lambda i: (-float(logits[i]), i))
    order = order[: options.top_k or None]
    total = sum(weight[i] for i in order)
    kept, so_far = [], 0
    for i in order:
        if kept and options.top_p < 1 and so_far >= int(options.top_p * float(total)):
            break
        kept.append(i)
        so_far += weight[i]
    target = splitmix(options.seed, options.step) * so_far >> 64
    for i in sorted(kept):
        target -= weight[i]
        if target < 0:
            return i
    raise AssertionError


def probabilities(logits: Float, options: Options) -> Wide:
    """Returns the probability of each token, at a temperature above 0."""
    wide = logits.astype(np.float64)
    power = np.exp((wide - wide.max()) / options.temperature)
    order = np.argsort(-wide, kind="stable")[: options.top_k or None]
    share = power[order] / power[order].sum()
    order = order[np.cumsum(share) - share < options.top_p]
    result = np.zeros(len(wide))
    result[order] = power[order] / power[order].sum()
    return result
