"""The second moment of a layer's input, ordered, damped and inverted for a sweep over columns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lamella.compression.quantize.problem import Problem
from lamella.errors import CompressionError

# How often the damping is multiplied by ten before H is given up as not positive definite.
_RETRIES = 6


@dataclass(frozen=True, slots=True)
class Factor:
    """H of every problem, made ready for solvers, float64.

    Shapes: `damped` and `upper` (problems, cols, cols), `order` (problems, cols). `damped` is H
    with the damping on its diagonal, in the order of the layer. `upper` is U, upper triangular,
    with U^T U the inverse of H damped and reordered by `order`.
    """

    damped: Tensor
    upper: Tensor
    order: Tensor


def factorise(problem: Problem, damping: float, *, act_order: bool) -> Factor:
    """Orders, damps and inverts H; damping grows tenfold for as long as H stays singular.

    A column that calibration never excited gets the mean of the diagonal, so that nothing is
    pushed from it or onto it.

    Args:
        problem: a layer with a second moment.
        damping: what is added to the diagonal, as a share of its mean.
        act_order: order columns by falling diag(H), else as they come.

    Raises:
        CompressionError: H has a clearly negative eigenvalue, so it is not a second moment.
    """
    assert problem.moment is not None
    moment = torch.from_numpy(problem.moment).double()
    count, cols = moment.shape[:2]
    diagonal = moment.diagonal(dim1=1, dim2=2)
    order = torch.arange(cols).expand(count, cols)
    if act_order:
        order = diagonal.argsort(dim=1, descending=True, stable=True)
    mean = diagonal.mean(dim=1, keepdim=True)
    dead = torch.where(diagonal <= 0, mean.where(mean > 0, 1.0), 0.0)
    share = torch.full_like(mean, damping)
    for _ in range(_RETRIES):
        damped = moment + torch.diag_embed(dead + share * mean)
        lower, info = torch.linalg.cholesky_ex(_reordered(damped, order.flip(1)))
        if not info.any():
            eye = torch.eye(cols, dtype=torch.float64).expand(count, cols, cols)
            upper = torch.linalg.solve_triangular(lower, eye, upper=False).flip(1, 2)
            return Factor(damped, upper, order)
        share = share.where(info[:, None] == 0, (share * 10).clamp(min=1e-4))
    raise CompressionError(
        f"layer {problem.layer}: the second moment of its input is not positive semidefinite, even "
        f"with a damping of {float(share.max()) / 10:g}; calibrate this layer again"
    )


def _reordered(moment: Tensor, order: Tensor) -> Tensor:
    """Applies an order to rows and columns; with the reversed order L L^T = H gives U = L^-1.

    L is the Cholesky factor of H reversed; its inverse reversed is upper triangular and is U.
    """
    return torch.stack([one[at][:, at] for one, at in zip(moment, order, strict=True)])
