"""What a solver is asked and what it answers: one layer as a least-squares problem.

The loss of a layer is tr(dW H dW^T), dW = W - decoded W and H = E[x x^T]: the squared error of
its output, summed over output channels and averaged over the calibration data. A convolution
with groups is one such problem per group; rows are split evenly over the problems, in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lamella.errors import CompressionError
from lamella.formats import Format
from lamella.grids import Mask, Quantized, Real

Losses = npt.NDArray[np.float64]

# Values of the weight that are held in float64 at one time, 8 MiB each copy.
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Problem:
    """One layer to compress.

    Shapes: `weight` and `mask` (rows, cols), `moment` (problems, cols, cols) is H and symmetric,
    `counts` (rows,) says how often each row of an embedding was looked up.
    """

    layer: str
    weight: Real
    format: Format
    moment: Real | None = None
    mask: Mask | None = None
    counts: npt.NDArray[np.int64] | None = None

    @property
    def problems(self) -> int:
        """Returns how many independent second moments the rows are split over."""
        return 1 if self.moment is None else len(self.moment)


@dataclass(frozen=True, slots=True)
class Solution:
    """A compressed layer: `quantized` for integer formats, `values` (rows, cols) for float ones.

    `loss` is tr(dW H dW^T) / tr(W H W^T) with the H of the calibration data, undamped.
    """

    quantized: Quantized | None
    values: Real | None
    loss: float

    def decode(self) -> Real:
        """Returns the (rows, cols) float32 weights that take the place of the original ones."""
        if self.quantized is not None:
            return self.quantized.decode()
        assert self.values is not None
        return self.values


def check(problem: Problem) -> None:
    """Refuses what no solver can work with.

    Raises:
        CompressionError: NaN or infinity in the weight or the moment, or shapes that do not fit.
    """
    rows, cols = problem.weight.shape
    if not np.isfinite(problem.weight).all():
        bad = int((~np.isfinite(problem.weight)).sum())
        raise CompressionError(
            f"layer {problem.layer}: {bad} of its {rows * cols} weights are NaN or infinite; "
            "mend the checkpoint, or leave the layer out with the format f32"
        )
    if problem.moment is None:
        return
    count = len(problem.moment)
    if problem.moment.shape != (count, cols, cols) or rows % count:
        raise CompressionError(
            f"layer {problem.layer}: second moments of shape {problem.moment.shape} do not fit a "
            f"weight of {rows} rows and {cols} columns; calibrate this very model again"
        )
    if not np.isfinite(problem.moment).all():
        raise CompressionError(
            f"layer {problem.layer}: the second moment of its input holds NaN or infinity; "
            "calibrate again with clean data"
        )


def importance(problem: Problem) -> Real | None:
    """Returns diag(H), shaped (1, cols) or one row per weight row, for fitting scales.

    A hundredth of the mean is added, so that a column which calibration never excited still
    counts. None where there is no second moment: all columns weigh the same.
    """
    if problem.moment is None:
        return None
    diagonal = np.diagonal(problem.moment, axis1=1, axis2=2).astype(np.float32)
    mean = diagonal.mean(axis=1, keepdims=True)
    floored = np.where(mean > 0, diagonal + np.float32(0.01) * mean, np.float32(1))
    if problem.problems == 1:
        return floored
    return np.repeat(floored, len(problem.weight) // problem.problems, axis=0)


def relative_loss(problem: Problem, decoded: Real) -> float:
    """Returns tr(dW H dW^T) / tr(W H W^T), 0 where the layer's output is zero anyway."""
    return relative(problem, row_losses(problem, decoded))


def relative(problem: Problem, losses: Losses) -> float:
    """Returns the sum of (rows,) losses as a share of what losing the whole weight would cost."""
    total = float(row_losses(problem, None).sum())
    return float(losses.sum()) / total if total > 0 else 0.0


def row_losses(problem: Problem, decoded: Real | None, moment: Tensor | None = None) -> Losses:
    """Returns dW H dW^T of every row, (rows,) float64, with dW = weight - decoded.

    Args:
        problem: the layer. Without a second moment H is the identity, times the count of the row
            if there are counts.
        decoded: (rows, cols) float32; None stands for zeros.
        moment: (problems, cols, cols) float64 to use in place of the layer's own H.
    """
    rows, cols = problem.weight.shape
    losses = np.empty((problem.problems, rows // problem.problems))
    if moment is None and problem.moment is not None:
        moment = torch.from_numpy(problem.moment).double()
    split = (problem.problems, -1, cols)
    for part in chunks(losses.shape[1], problem.problems * cols):
        change = torch.from_numpy(problem.weight.reshape(split)[:, part]).double()
        if decoded is not None:
            change -= torch.from_numpy(decoded.reshape(split)[:, part])
        product = change if moment is None else change @ moment
        losses[:, part] = (product * change).sum(dim=2).numpy()
    counted = moment is None and problem.counts is not None and problem.counts.any()
    return losses.reshape(-1) * problem.counts if counted else losses.reshape(-1)


def chunks(rows: int, width: int) -> Iterator[slice]:
    """Yields slices of rows such that rows * width stays near CHUNK values."""
    step = max(1, CHUNK // max(width, 1))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
