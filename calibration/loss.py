"""How far a changed model is from the float model: on its outputs, and on one layer's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lamella.calibration import data
from lamella.calibration.data import Batch
from lamella.errors import CalibrationError
from lamella.grids import Real

Metric = Literal["kl", "relative"]
Values = tuple[Tensor, ...]

# Values that are compared at one time, so that the work stays within a cache.
_PIECE = 1 << 18

# Beyond this, exp(-difference) nears the end of float32, and probabilities are used themselves.
_FAR = -80.0

# An error of nothing is reported as this many decibels below the signal.
SILENCE_DB = 200.0


@dataclass(slots=True)
class Distance:
    """Adds up a distance over batches.

    `kl` is the mean over rows of KL(float || changed), natural logarithm, softmax over the last
    axis. `relative` is the sum of squared differences over the sum of squares of the float
    output, averaged over the output tensors.
    """

    metric: Metric
    _errors: list[float] = field(default_factory=list)
    _totals: list[float] = field(default_factory=list)

    def add(self, reference: Values, changed: Values) -> None:
        """Adds one batch: what `observed` returned for the float and the changed model."""
        if not self._errors:
            self._errors, self._totals = [0.0] * len(reference), [0.0] * len(reference)
        for place, (left, right) in enumerate(zip(reference, changed, strict=True)):
            error, total = _kl(left, right) if self.metric == "kl" else _squares(left, right)
            self._errors[place] += error
            self._totals[place] += total

    @property
    def value(self) -> float:
        """Returns the distance so far, at least 0; infinite where the outputs are not finite."""
        pairs = zip(self._errors, self._totals, strict=True)
        ratios = [error / total if total else error for error, total in pairs]
        mean = sum(ratios) / len(ratios)
        return mean if np.isfinite(mean) else float("inf")


def observed(output: Any, metric: Metric, batch: Batch) -> Values:
    """Returns what a metric compares, as float32 (rows, channels), padding tokens left out.

    For `kl` that is the logarithm of the softmax of `logits`, or of the first tensor; for
    `relative` every floating-point tensor of the output.

    Raises:
        CalibrationError: the output has no floating-point tensor.
    """
    found = _tensors(output)
    if metric == "kl":
        logits = output.get("logits") if isinstance(output, Mapping) else None
        found = [logits] if isinstance(logits, Tensor) else found[:1]
    if not found:
        raise CalibrationError("the model returns no floating-point tensor to compare")
    rows = tuple(data.select(_matrix(tensor), batch.mask).float() for tensor in found)
    return tuple(torch.log_softmax(each, -1) for each in rows) if metric == "kl" else rows


def trace_loss(weight: Real, decoded: Real, moment: Real) -> float:
    """Returns tr(dW H dW^T) / tr(W H W^T), 0 where the output is zero anyway.

    Shapes: weights (rows, cols); moment (problems, cols, cols), rows split evenly over problems.
    """
    shape = (len(moment), -1, weight.shape[1])
    left, right = weight.reshape(shape), decoded.reshape(shape)
    error = energy = 0.0
    for rows in _pieces(left.shape[1], left[:, 0].size):
        error += _energy(left[:, rows] - right[:, rows], moment)
        energy += _energy(left[:, rows], moment)
    return _ratio(error, energy)


def lookup_loss(weight: Real, decoded: Real, counts: npt.NDArray[np.int64]) -> float:
    """Returns the same for an embedding, whose H is diagonal: counts (rows,) of each row."""
    error = energy = 0.0
    for rows in _pieces(*weight.shape):
        change = np.square(weight[rows] - decoded[rows]).sum(1, dtype=np.float64)
        error += float(change @ counts[rows])
        energy += float(np.square(weight[rows]).sum(1, dtype=np.float64) @ counts[rows])
    return _ratio(error, energy)


def decibels(error: float, energy: float) -> float:
    """Returns the signal-to-noise ratio 10 log10(energy / error), at most SILENCE_DB."""
    if error <= 0:
        return SILENCE_DB
    return float(min(10 * np.log10(energy / error), SILENCE_DB)) if energy > 0 else 0.0


def _pieces(rows: int, cols: int) -> Iterator[slice]:
    """Yields slices of rows that hold few values, so that a vocabulary needs no large copies."""
    step = max(1, _PIECE // cols)
    yield from (slice(start, start + step) for start in range(0, rows, step))


def _energy(weight: Real, moment: Real) -> float:
    """Returns tr(W H W^T) of a (problems, rows, cols) weight."""
    return float(((weight @ moment) * weight).sum(dtype=np.float64))


def _ratio(error: float, energy: float) -> float:
    return max(error, 0.0) / energy if energy > 0 else 0.0


def _kl(reference: Tensor, changed: Tensor) -> tuple[float, float]:
    """Returns the summed divergence of (rows, classes) log-probabilities, and the rows.

    With d = log p - log q, sum p d equals sum p (exp(-d) - 1 + d), since both p and q sum to 1.
    No term of the second form is negative and rounding enters it as a square, so that it still
    holds digits where the first is lost in noise.
    """
    total = 0.0
    for rows in _pieces(*reference.shape):
        left, right = reference[rows], changed[rows]
        gap = left - right
        terms = left.exp() * (torch.expm1(-gap) + gap)
        if not bool(gap.amin() > _FAR):
            terms = torch.where(gap > _FAR, terms, right.exp())
        total += float(terms.sum(dtype=torch.float64))
    return total, float(len(reference))


def _squares(reference: Tensor, changed: Tensor) -> tuple[float, float]:
    error = (changed - reference).square().sum(dtype=torch.float64)
    return float(error), float(reference.square().sum(dtype=torch.float64))


def _matrix(tensor: Tensor) -> Tensor:
    return tensor if tensor.dim() > 1 else tensor.reshape(1, -1)


def _tensors(output: Any) -> list[Tensor]:
    """Returns the floating-point tensors of a nest, in order; other objects (caches) are passed."""
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    if isinstance(output, Mapping):
        return [tensor for value in output.values() for tensor in _tensors(value)]
    if isinstance(output, (tuple, list)):
        return [tensor for value in output for tensor in _tensors(value)]
    return []
