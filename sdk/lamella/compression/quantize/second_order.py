"""GPTQ: rounds column after column and pushes each error onto the columns not yet rounded.

Source: Frantar et al. 2023, arXiv:2210.17323, algorithm 1 (Cholesky form, lazy blocks), with the
static groups and the act-order of the authors' code; Frantar and Alistarh 2023, arXiv:2301.00774,
section 3, for masked weights, whose whole value is an error that is pushed on.

With H^-1 = U^T U, U upper triangular, the error e_j = (w_j - q_j) / U_jj of column j changes
column k > j by -e_j U_jk. Then sum e^2 = tr(dW H dW^T) holds exactly, which every sweep asserts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lamella.compression.quantize import nearest, polish
from lamella.compression.quantize.columns import Columns
from lamella.compression.quantize.factor import Factor, factorise
from lamella.compression.quantize.problem import (
    Problem,
    Solution,
    check,
    chunks,
    relative,
    row_losses,
)
from lamella.errors import CompressionError
from lamella.grids import Code, Grid, Quantized, Real

_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Sweep:
    """The settings of GPTQ.

    `damping` is added to the diagonal of H as a share of its mean; `act_order` visits columns by
    falling diag(H); `block` is how many columns are visited between two lazy updates, which
    changes the speed and not the result. `rounds` is how often the result is polished, by
    coordinate descent on its codes and least squares on its scales; 0 is GPTQ as published.
    """

    act_order: bool = True
    damping: float = 0.02
    block: int = 128
    rounds: int = 1


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found, both (rows, cols): float32 weights and their codes on the grid."""

    real: Real
    codes: Code


def solve(problem: Problem, settings: Sweep | None = None) -> Solution:
    """Solves a layer by GPTQ, then keeps, row by row, the best of it and rounding to nearest.

    Scales are fitted on the original weight before the sweep, with squared errors weighted by
    diag(H). The loss is never above that of `nearest.solve`, with or without its search. A column
    whose input calibration never excited is rounded to nearest, and so is a whole layer without a
    second moment or without anything to gain (floating point without a mask).

    Raises:
        CompressionError: the weight or the second moment is not finite, or the moment is not
            positive semidefinite.
    """
    check(problem)
    if problem.moment is None or (problem.format.is_float and problem.mask is None):
        return nearest.solve(problem)
    settings = settings or Sweep()
    grid = None if problem.format.is_float else nearest.fit(problem, search=True)
    factor = factorise(problem, settings.damping, act_order=settings.act_order)
    swept = sweep(problem, grid, factor, settings.block)
    if grid is None:
        return _best_values(problem, swept.real)
    found = Quantized(problem.format, swept.codes, grid, problem.mask)
    for _ in range(settings.rounds):
        found = polish.improve(problem, found, factor, settings.block)
    return _best_codes(problem, found, grid)


def sweep(problem: Problem, grid: Grid | None, factor: Factor, block: int) -> Swept:
    """Runs GPTQ on a given grid; without a grid weights are kept or rounded to float16.

    Raises:
        CompressionError: the identity of the errors is broken by more than a millionth.
    """
    rows, cols = problem.weight.shape
    swept = Swept(np.empty((rows, cols), np.float32), np.empty((rows, cols), np.uint8))
    split, pushed = (problem.problems, -1, cols), 0.0
    for part in chunks(rows // problem.problems, problem.problems * cols):
        columns = Columns(problem, grid, factor.order, part)
        pushed += _push(columns, factor.upper, block)
        swept.real.reshape(split)[:, part] = columns.restore(columns.real)
        swept.codes.reshape(split)[:, part] = columns.restore(columns.codes)
    _check_identity(problem, swept.real, factor, pushed)
    return swept


def _push(columns: Columns, upper: Tensor, block: int) -> float:
    """Rounds all columns of some rows and returns sum e^2."""
    weight, total = columns.weight, 0.0
    cols = weight.shape[1]
    for start in range(0, cols, block):
        end = min(start + block, cols)
        errors = torch.empty_like(weight[:, start:end])
        for j in range(start, end):
            wanted = weight[:, j]
            error = (wanted - columns.round(j, wanted)) / upper[:, j, j, None]
            errors[:, j - start] = error
            rest = weight[:, j + 1 : end]
            rest.addcmul_(upper[:, j, j + 1 : end, None], error[:, None], value=-1)
        total += float(errors.square().sum())
        weight[:, end:].baddbmm_(upper[:, start:end, end:].mT, errors, alpha=-1)
    return total


def _check_identity(problem: Problem, real: Real, factor: Factor, pushed: float) -> None:
    """Asserts that sum e^2 = tr(dW H dW^T), which any slip of an index would break."""
    found = float(row_losses(problem, real, factor.damped).sum())
    # A weight that already lies on its grid has no error but that of the arithmetic.
    noise = 1e-12 * float(np.square(problem.weight).sum()) * float(factor.damped.max())
    if not abs(pushed - found) <= _TOLERANCE * found + noise:
        raise CompressionError(
            f"layer {problem.layer}: GPTQ pushed an error of {pushed:g} but left one of {found:g}; "
            "H is too ill-conditioned for its damping, raise it"
        )


def _best_values(problem: Problem, values: Real) -> Solution:
    """Keeps, per row, the values of the sweep or those of plain rounding, whichever lose less."""
    plain = nearest.solve(problem).decode()
    losses, others = row_losses(problem, values), row_losses(problem, plain)
    kept = np.where((losses <= others)[:, None], values, plain)
    return Solution(None, kept, relative(problem, np.minimum(losses, others)))


def _best_codes(problem: Problem, best: Quantized, fitted: Grid) -> Solution:
    """Keeps, per row, the codes found or those of rounding to nearest, on either kind of grid."""
    losses = row_losses(problem, best.decode())
    for grid in (fitted, nearest.fit(problem, search=False)):
        other = Quantized(problem.format, nearest.encode(problem, grid), grid, problem.mask)
        others = row_losses(problem, other.decode())
        best, losses = _merge(best, other, others < losses), np.minimum(losses, others)
    return Solution(best, None, relative(problem, losses))


def _merge(first: Quantized, second: Quantized, take: npt.NDArray[np.bool_]) -> Quantized:
    """Returns the rows of `second` where `take` (rows,) says so, else those of `first`."""
    where = take[:, None]
    grid = Grid(
        np.where(where, second.grid.scale, first.grid.scale),
        np.where(where, second.grid.zero, first.grid.zero),
    )
    return replace(first, codes=np.where(where, second.codes, first.codes), grid=grid)
