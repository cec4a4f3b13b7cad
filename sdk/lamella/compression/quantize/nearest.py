"""Round to nearest: every weight goes to the closest point of its grid, on its own.

Source: Jacob et al. 2018, arXiv:1712.05877, section 2.1, for the grid of the full range;
`lamella.compression.quantize.scales` for the grid of least squared error.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lamella import grids
from lamella.compression.quantize import scales
from lamella.compression.quantize.problem import (
    Problem,
    Solution,
    check,
    chunks,
    importance,
    relative_loss,
)
from lamella.grids import Code, Grid, Quantized, Real


def solve(problem: Problem, *, search: bool = True) -> Solution:
    """Rounds a layer to the nearest codes, or to float16; masked weights become exactly zero.

    Args:
        problem: the layer; its second moment is optional.
        search: fit the scales by squared error, weighted by diag(H) where it is known; without,
            the scales span the full range of each group.

    Raises:
        CompressionError: the weight or the second moment is not finite.
    """
    check(problem)
    if problem.format.is_float:
        values = to_float(torch.from_numpy(masked(problem)), problem.format.bits).numpy()
        return Solution(None, values, relative_loss(problem, values))
    grid = fit(problem, search=search)
    quantized = Quantized(problem.format, encode(problem, grid), grid, problem.mask)
    return Solution(quantized, None, relative_loss(problem, quantized.decode()))


def fit(problem: Problem, *, search: bool) -> Grid:
    """Returns the grids of the kept weights of an integer format."""
    if search:
        return scales.fit(masked(problem), problem.format, importance(problem))
    return grids.fit(masked(problem), problem.format)


def encode(problem: Problem, grid: Grid) -> Code:
    """Returns the nearest (rows, cols) codes; a masked weight gets the code of zero."""
    format, cols = problem.format, problem.weight.shape[1]
    codes = np.empty(problem.weight.shape, np.uint8)
    for part in chunks(len(codes), cols):
        piece = Grid(grid.scale[part], grid.zero[part])
        codes[part] = grids.encode(problem.weight[part], piece, format)
        if problem.mask is not None:
            zero = grids.columns(piece.zero, format, cols)
            codes[part] = np.where(problem.mask[part], codes[part], zero)
    return codes


def masked(problem: Problem) -> Real:
    """Returns the weight with its masked entries set to zero."""
    if problem.mask is None:
        return problem.weight
    return np.where(problem.mask, problem.weight, np.float32(0))


def to_float(values: Tensor, bits: int) -> Tensor:
    """Rounds to the nearest finite float16 for 16 bits; 32 bits change nothing."""
    if bits == 32:
        return values
    limit = torch.finfo(torch.float16).max
    return values.clamp(-limit, limit).half().float()
