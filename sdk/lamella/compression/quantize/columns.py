"""Some rows of a layer, turned so that a solver can walk over columns in its own order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lamella.compression.quantize.nearest import to_float
from lamella.compression.quantize.problem import Problem
from lamella.grids import Code, Grid, Real


class Columns:
    """The rows `part` of every problem of a layer.

    Shapes: `weight` (problems, cols, rows) float64, the values to approximate; `real` the same in
    float32, what they were rounded to; `codes` the same in uint8. Columns follow `order`, which
    is (problems, cols).
    """

    def __init__(self, problem: Problem, grid: Grid | None, order: Tensor, part: slice) -> None:
        self.format, self.order, self.part = problem.format, order, part
        self.weight = self._turn(self._slice(problem.weight)).double()
        self.kept = None if problem.mask is None else self._turn(self._slice(problem.mask))
        self.real = torch.empty(self.weight.shape)
        self.codes = torch.zeros(self.weight.shape, dtype=torch.uint8)
        self.scale = self.zero = None
        if grid is not None:
            repeats, cols = self.format.group or self.weight.shape[1], self.weight.shape[1]
            scale, zero = self._slice(grid.scale), self._slice(grid.zero)
            self.scale = self._turn(np.repeat(scale, repeats, axis=2)[..., :cols])
            self.zero = self._turn(np.repeat(zero, repeats, axis=2)[..., :cols]).float()

    def round(self, column: int, wanted: Tensor) -> Tensor:
        """Rounds one (problems, rows) column in float32, exactly as `lamella.grids` does."""
        value = wanted.float()
        if self.scale is not None and self.zero is not None:
            scale, zero = self.scale[:, column], self.zero[:, column]
            codes = (value / scale).round_().add_(zero).clamp_(0, self.format.levels - 1)
            if self.kept is not None:
                codes = codes.where(self.kept[:, column], zero)
            self.codes[:, column] = codes.to(torch.uint8)
            value = (codes - zero) * scale
        else:
            value = to_float(value, self.format.bits)
            if self.kept is not None:
                value = value.where(self.kept[:, column], 0.0)
        self.real[:, column] = value
        return value

    def load(self, codes: Code, real: Real) -> None:
        """Starts from a (rows, cols) solution instead of an empty one."""
        self.codes, self.real = self._turn(self._slice(codes)), self._turn(self._slice(real))

    def restore(self, turned: Tensor) -> npt.NDArray[Any]:
        """Returns a (problems, cols, rows) tensor as (problems, rows, cols) in layer order."""
        back = self.order.argsort(dim=1)[..., None].expand(turned.shape)
        restored: npt.NDArray[Any] = turned.gather(1, back).mT.contiguous().numpy()
        return restored

    def _slice(self, matrix: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return matrix.reshape(len(self.order), -1, matrix.shape[1])[:, self.part]

    def _turn(self, rows: npt.NDArray[Any]) -> Tensor:
        turned = torch.from_numpy(np.ascontiguousarray(rows)).mT
        return turned.gather(1, self.order[..., None].expand(turned.shape)).contiguous()
