"""Scales that lose the least: a search over ranges, then least squares on the codes it found.

Source: the range search of GPTQ's `quant.py` and of OCTAV-like methods; the closed-form step
s = sum v x (q - z) / sum v (q - z)^2 is that of llama.cpp's `make_qx_quants`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lamella.compression.quantize.problem import chunks
from lamella.formats import Format
from lamella.grids import Grid, Real

# Shares of the full range that are tried as the range of a group.
SHARES = tuple(np.linspace(1.1, 0.4, 29).tolist())
REFINEMENTS = 3


def fit(weight: Real, format: Format, importance: Real | None = None) -> Grid:
    """Fits, per row and group, the grid of least squared error that the search finds.

    Grids of layers whose activations are integers too have positive scales, as integer kernels
    expect. The result is never worse than the full range of `lamella.grids.fit`, up to the sign
    rule just named.

    Args:
        weight: (rows, cols) real values.
        format: an integer format.
        importance: (1, cols) or (rows, cols) positive weights of the squared errors.
    """
    rows, cols = weight.shape
    groups = format.groups(cols)
    scale = np.empty((rows, groups), np.float32)
    zero = np.empty((rows, groups), np.uint8)
    given = np.ones((1, cols), np.float32) if importance is None else importance
    # A quarter of the usual chunk keeps the working set of the search inside the cache.
    for part in chunks(rows, 16 * cols):
        weights = given if len(given) == 1 else given[part]
        search = _Search(_grouped(weight[part], format, edge=True), weights, format)
        search.run()
        scale[part], zero[part] = search.scale.numpy(), search.zero.to(torch.uint8).numpy()
    return Grid(scale, zero)


class _Search:
    """The best grids so far of some rows; values (rows, groups, group), grids (rows, groups)."""

    def __init__(self, values: Tensor, importance: Real, format: Format) -> None:
        self.values = values
        self.importance = _grouped(importance, format, edge=False)
        self.format = format
        self.top = format.levels - 1
        self.scale = torch.ones(values.shape[:2])
        self.zero = torch.full(values.shape[:2], float(format.levels // 2))
        self.error = torch.full(values.shape[:2], torch.inf)

    def run(self) -> None:
        """Tries every share of the range, then refines the best."""
        if self.format.symmetric:
            self._symmetric()
        else:
            self._asymmetric()
        for _ in range(REFINEMENTS):
            self._offer(self._least_squares(self.zero), self.zero)
            if self.format.symmetric:
                continue
            for step in (-1, 1):
                zero = (self.zero + step).clamp_(0, self.top)
                self._offer(self._least_squares(zero), zero)

    def _symmetric(self) -> None:
        where = self.values.abs().argmax(dim=2, keepdim=True)
        extreme = self.values.gather(2, where)[..., 0]
        half = self.format.levels // 2
        if self.format.activation == "float":
            bases = [-extreme / half, extreme / half]
        else:
            bases = [extreme.abs() / (half - 1)]
        for base in bases:
            for share in SHARES:
                self._offer(base * share, self.zero)

    def _asymmetric(self) -> None:
        low = self.values.amin(dim=2).clamp_(max=0)
        high = self.values.amax(dim=2).clamp_(min=0)
        step = (high - low) / self.top
        for share in SHARES:
            scale = self._stored(step * share)
            self._offer(scale, torch.round(-low * share / scale).clamp_(0, self.top))

    def _stored(self, scale: Tensor) -> Tensor:
        stored = scale.half().float() if self.format.scale_bits == 16 else scale
        return torch.where((stored == 0) | ~stored.isfinite(), 1.0, stored)

    def _steps(self, scale: Tensor, zero: Tensor) -> Tensor:
        """Returns code - zero of every value, as a new (rows, groups, group) tensor."""
        steps = torch.div(self.values, scale[..., None]).round_()
        return steps.clamp_((0 - zero)[..., None], (self.top - zero)[..., None])

    def _offer(self, scale: Tensor, zero: Tensor) -> None:
        """Takes the grid where it beats the best one so far."""
        scale = self._stored(scale)
        real = self._steps(scale, zero).mul_(scale[..., None])
        error = real.sub_(self.values).square_().mul_(self.importance).sum(dim=2)
        better = error < self.error
        self.error = torch.where(better, error, self.error)
        self.scale = torch.where(better, scale, self.scale)
        self.zero = torch.where(better, zero, self.zero)

    def _least_squares(self, zero: Tensor) -> Tensor:
        """Returns the scale that fits the present codes best; 0 (then 1) where all are zero."""
        steps = self._steps(self.scale, zero)
        weighted = steps * self.importance
        above = weighted.mul(self.values).sum(dim=2)
        scale = above / weighted.mul_(steps).sum(dim=2).clamp_(min=1e-30)
        return scale if self.format.activation == "float" else scale.abs()


def _grouped(matrix: Real, format: Format, *, edge: bool) -> Tensor:
    """Returns (rows, groups, group); a short last group repeats its last column, or has zeros."""
    rows, cols = matrix.shape
    group = format.group or cols
    missing = format.groups(cols) * group - cols
    if missing:
        matrix = np.pad(matrix, ((0, 0), (0, missing)), mode="edge" if edge else "constant")
    return torch.from_numpy(np.ascontiguousarray(matrix)).reshape(rows, -1, group)
