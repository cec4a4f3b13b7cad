"""Improves a finished layer: codes by coordinate descent, scales by least squares.

Source: Behdin et al. 2023, arXiv:2309.01885 (QuantEase), for the descent; the scales of a row are
the solution of A s = b with A_gh = c_g H c_h^T and b_g = w H c_g^T, where c_g holds code - zero
in the columns of group g and 0 elsewhere. Neither step raises tr(dW H dW^T), H damped. On 16
layers of SmolLM2 the two lower what GPTQ loses on unseen text by 6 % at 4 and 3 bits
and by 11 % at 2.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lamella.compression.quantize.columns import Columns
from lamella.compression.quantize.factor import Factor
from lamella.compression.quantize.problem import Problem, chunks, row_losses
from lamella.grids import Grid, Quantized

# Pulls a scale that the codes do not determine (all zero) towards the one it has.
_RIDGE = 1e-6


def improve(problem: Problem, found: Quantized, factor: Factor, block: int) -> Quantized:
    """Returns the layer after one pass over its codes and one over its scales."""
    moved = _descend(problem, found, factor.damped, block)
    fitted = _refit(problem, moved, factor.damped)
    before = row_losses(problem, moved.decode(), factor.damped)
    after = row_losses(problem, fitted.decode(), factor.damped)
    # Stored scales are rounded, so the exact minimum may still lose to the scales before it.
    scale = np.where((after < before)[:, None], fitted.grid.scale, moved.grid.scale)
    return replace(moved, grid=Grid(scale, moved.grid.zero))


def _descend(problem: Problem, found: Quantized, damped: Tensor, block: int) -> Quantized:
    """Moves every code to the best one, given all others, column after column."""
    rows, cols = problem.weight.shape
    codes, real = np.empty_like(found.codes), found.decode()
    order = torch.arange(cols).expand(problem.problems, cols)
    for part in chunks(rows // problem.problems, problem.problems * cols):
        columns = Columns(problem, found.grid, order, part)
        columns.load(found.codes, real)
        _descend_rows(columns, damped, block)
        codes.reshape(problem.problems, -1, cols)[:, part] = columns.codes.mT.numpy()
    return replace(found, codes=codes)


def _descend_rows(columns: Columns, damped: Tensor, block: int) -> None:
    slope = damped @ (columns.weight - columns.real)
    cols = slope.shape[1]
    for start in range(0, cols, block):
        end = min(start + block, cols)
        moves = torch.empty_like(slope[:, start:end])
        for j in range(start, end):
            before = columns.real[:, j].double()
            after = columns.round(j, before + slope[:, j] / damped[:, j, j, None])
            moves[:, j - start] = move = after - before
            near = slope[:, j:end]
            near.addcmul_(damped[:, j, j:end, None], move[:, None], value=-1)
        slope[:, end:].baddbmm_(damped[:, end:, start:end], moves, alpha=-1)


def _refit(problem: Problem, found: Quantized, damped: Tensor) -> Quantized:
    """Returns the layer with the scales of least loss for its codes, rounded as they are stored."""
    rows, cols = problem.weight.shape
    scale = found.grid.scale.copy()
    groups, split = scale.shape[1], (problem.problems, -1, cols)
    zero = np.repeat(found.grid.zero, problem.format.group or cols, axis=1)[:, :cols]
    for part in chunks(rows // problem.problems, problem.problems * cols):
        weight = torch.from_numpy(problem.weight.reshape(split)[:, part]).double()
        steps = torch.from_numpy(found.codes.reshape(split)[:, part]).double()
        steps -= torch.from_numpy(zero.reshape(split)[:, part])
        present = scale.reshape(problem.problems, -1, groups)[:, part]
        best = _least_squares(weight, steps, damped, torch.from_numpy(present).double())
        present[:] = _stored(best, present, found)
    return replace(found, grid=Grid(scale, found.grid.zero))


def _least_squares(weight: Tensor, steps: Tensor, damped: Tensor, present: Tensor) -> Tensor:
    """Solves for the (problems, rows, groups) scales; weight and steps (problems, rows, cols)."""
    groups, cols = present.shape[2], steps.shape[2]
    group = -(-cols // groups)
    missing = groups * group - cols

    def by_group(product: Tensor) -> Tensor:
        padded = F.pad(product * steps, (0, missing))
        return padded.reshape(*present.shape, group).sum(dim=3)

    right = by_group(weight @ damped)
    rows = []
    for start in range(0, cols, group):
        inside = slice(start, min(start + group, cols))
        rows.append(by_group(steps[:, :, inside] @ damped[:, inside]))
    left = torch.stack(rows, dim=2)
    ridge = _RIDGE * left.diagonal(dim1=2, dim2=3).mean(dim=2, keepdim=True).clamp(min=1e-30)
    left += torch.diag_embed(ridge.expand(present.shape))
    solved: Tensor = torch.linalg.solve(left, right + ridge * present)
    return solved


def _stored(best: Tensor, present: np.ndarray, found: Quantized) -> np.ndarray:
    """Rounds scales to the stored type; keeps the present one where that would break it."""
    dtype = np.float16 if found.format.scale_bits == 16 else np.float32
    with np.errstate(over="ignore"):
        scale = best.numpy().astype(dtype).astype(np.float32)
    # Scales never vanish, and those of integer layers stay positive.
    sound = np.isfinite(scale) & (scale * present > 0)
    return np.where(sound, scale, present)
