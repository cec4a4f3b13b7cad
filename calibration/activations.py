"""What integer activations do to a layer's input, simulated in floating point.

Source: Jacob et al. 2018, arXiv:1712.05877, section 2.1: real = scale * (code - zero).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lamella.frontend.model import ActivationGrid


def static_grid(low: float, high: float, bits: int = 8) -> ActivationGrid:
    """Returns the unsigned grid that spans [low, high] and holds 0.0 exactly.

    A range without width gets the scale 1.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    top = 2**bits - 1
    # The stored scale is a float32; the zero point must be fitted to that very number.
    scale = float(torch.tensor((high - low) / top, dtype=torch.float32)) or 1.0
    return ActivationGrid(scale, min(max(round(-low / scale), 0), top))


def static(tensor: Tensor, grid: ActivationGrid, bits: int = 8) -> Tensor:
    """Rounds a tensor of any shape to a fixed grid, ties to even."""
    codes = torch.clamp(torch.round(tensor / grid.scale) + grid.zero, 0, 2**bits - 1)
    return (codes - grid.zero) * grid.scale


def dynamic(tensor: Tensor, dims: tuple[int, ...] = (-1,)) -> Tensor:
    """Rounds a tensor to signed 8-bit grids that fit it, one for everything along `dims`.

    The scale is max|x| / 127; where all values are 0 they stay so.
    """
    scale = tensor.abs().amax(dims, keepdim=True) / 127
    safe = torch.where(scale > 0, scale, torch.ones_like(scale))
    return torch.clamp(torch.round(tensor / safe), -127, 127) * safe
