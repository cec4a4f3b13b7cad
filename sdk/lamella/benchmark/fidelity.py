"""Fidelity: how far a compressed model departs from the float one, on held-out batches.

Every metric is a ratio of sums over batches, with a standard error, and gives a drop, which is 0
for a model as good as the float one and grows as it gets worse:

    agreement   share of equal top-1 answers on the last axis; drop = 1 - agreement
    kl          mean KL(float || compressed) of the softmax over the last axis, in nats; drop = kl
    cosine      mean cosine of output vectors on the last axis; drop = 1 - cosine
    relative    squared error over squared output, all elements; drop = relative error
    perplexity  exp of the mean next-token loss; drop = perplexity / float perplexity - 1
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lamella.errors import CalibrationError, InputError
from lamella.progress import track

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
Predict = Callable[[Feeds], Mapping[str, Array]]


@dataclass(frozen=True, slots=True)
class Fidelity:
    """One metric on one set of batches.

    `spread` is the standard error of `value` over batches, None where only the total is known.
    """

    name: str
    value: float
    spread: float | None
    drop: float


def agreement(reference: Array, output: Array) -> tuple[float, float]:
    """Returns the number of equal top-1 answers and of answers."""
    equal = reference.argmax(-1) == output.argmax(-1)
    return float(equal.sum()), float(equal.size)


def kl(reference: Array, output: Array) -> tuple[float, float]:
    """Returns the summed KL divergence in nats and the number of distributions."""
    p, q = log_softmax(reference), log_softmax(output)
    return float((np.exp(p) * (p - q)).sum()), float(p[..., 0].size)


def cosine(reference: Array, output: Array) -> tuple[float, float]:
    """Returns the summed cosine of vectors on the last axis and their number."""
    a, b = reference.astype(np.float64), output.astype(np.float64)
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    cosines = (a * b).sum(-1) / np.maximum(norms, np.finfo(np.float64).tiny)
    return float(cosines.sum()), float(cosines.size)


def relative(reference: Array, output: Array) -> tuple[float, float]:
    """Returns the summed squared error and the summed square of the reference."""
    a, b = reference.astype(np.float64), output.astype(np.float64)
    return float(((a - b) ** 2).sum()), float((a**2).sum())


COMPARISONS = {"agreement": agreement, "kl": kl, "cosine": cosine, "relative": relative}
METRICS = (*COMPARISONS, "perplexity")

# What a report states beside the metric that was asked for, from the same outputs.
COMPANIONS = {"agreement": ("kl", "relative"), "cosine": ("relative",), "kl": ("agreement",)}


def log_softmax(logits: Array) -> Array:
    """Returns the log of the softmax over the last axis, in float64."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


def next_token_loss(ids: Array, logits: Array, mask: Array | None = None) -> tuple[float, float]:
    """Returns the summed next-token loss in nats and the number of scored tokens.

    Shapes: `ids` and `mask` (batch, tokens), `logits` (batch, tokens, vocabulary). The first half
    of every window only gives context, so that each scored token has seen at least that many.
    Tokens whose mask is 0 are not scored.
    """
    start = max(ids.shape[1] // 2, 1)
    scored = np.ones_like(ids, np.bool_) if mask is None else mask.astype(np.bool_)
    total = 0.0
    for row, scores, keep in zip(ids, logits, scored, strict=True):
        logs = log_softmax(scores[start - 1 : -1])
        found = np.take_along_axis(logs, row[start:, None].astype(np.int64), 1)[:, 0]
        total -= float(found[keep[start:]].sum())
    return total, float(scored[:, start:].sum())


class Evaluator:
    """Holds the batches and what the float model made of them."""

    def __init__(self, metric: str, batches: Sequence[Feeds], predict: Predict) -> None:
        """Runs the float model once.

        Args:
            metric: one of METRICS.
            batches: named input arrays, each of shape (batch, ...).
            predict: the float model; its first output is compared.

        Raises:
            InputError: there is no such metric.
            CalibrationError: there are no batches, or an output holds NaN or infinity.
        """
        if metric not in METRICS:
            raise InputError(f"unknown metric {metric!r}; use one of {', '.join(METRICS)}")
        if not batches:
            raise CalibrationError("no batches to evaluate on; give at least one")
        self.metric, self.batches = metric, tuple(batches)
        self.reference: list[Array] = []
        self.baseline = 0.0
        outputs = (_finite(first(predict(batch)), at) for at, batch in enumerate(self._tracked()))
        if metric == "perplexity":
            parts = [self._compare(metric, *pair) for pair in enumerate(outputs)]
            self.baseline = _exp(_ratio(parts))
        else:
            self.reference = list(outputs)

    def measure(self, predict: Predict, title: str = "evaluate") -> tuple[Fidelity, ...]:
        """Runs another model on the same batches; the metric comes first, then its companions."""
        metrics = (self.metric, *COMPANIONS.get(self.metric, ()))
        parts: dict[str, list[tuple[float, float]]] = {metric: [] for metric in metrics}
        for index, batch in enumerate(self._tracked(title)):
            output = first(predict(batch))
            for metric in metrics:
                parts[metric].append(self._compare(metric, index, output))
        return tuple(self._summary(metric, parts[metric]) for metric in metrics)

    def _tracked(self, title: str = "float model") -> Iterator[Feeds]:
        return track(self.batches, title, len(self.batches))

    def _compare(self, metric: str, index: int, output: Array) -> tuple[float, float]:
        if metric == "perplexity":
            batch = self.batches[index]
            return next_token_loss(batch["input_ids"], output, batch.get("attention_mask"))
        return COMPARISONS[metric](self.reference[index], output)

    def _summary(self, metric: str, parts: Sequence[tuple[float, float]]) -> Fidelity:
        value, spread = _ratio(parts), _standard_error(parts)
        if metric == "perplexity":
            value = _exp(value)
            return Fidelity(metric, value, value * spread, value / self.baseline - 1)
        falls = metric in ("agreement", "cosine")
        return Fidelity(metric, value, spread, 1 - value if falls else value)


def first(outputs: Mapping[str, Array]) -> Array:
    """Returns the first output of a model."""
    return next(iter(outputs.values()))


def _finite(output: Array, index: int) -> Array:
    if not np.isfinite(output).all():
        raise CalibrationError(
            f"the float model answers evaluation batch {index} with NaN or infinity; mend the "
            "model or drop the batch"
        )
    return output


def _exp(number: float) -> float:
    try:
        return math.exp(number)
    except OverflowError:
        return math.inf


def _ratio(parts: Iterable[tuple[float, float]]) -> float:
    """Returns the ratio of the sums; of nothing, 0 where nothing is lost and infinity otherwise."""
    pairs = list(parts)
    top, bottom = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
    if bottom:
        return top / bottom
    return math.inf if top else 0.0


def _standard_error(parts: Sequence[tuple[float, float]]) -> float:
    """Returns the jackknife standard error of the ratio of sums over batches."""
    if len(parts) < 2:
        return 0.0
    left_out = [_ratio([*parts[:at], *parts[at + 1 :]]) for at in range(len(parts))]
    if not np.isfinite(left_out).all():
        return math.inf
    return float(np.sqrt((len(parts) - 1) * np.var(left_out)))
