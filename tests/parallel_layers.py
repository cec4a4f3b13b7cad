"""Single layers side by side in one model, lowered to onnx, and the error bounds of their outputs.

With u = 2^-24 and gamma(n) = n u / (1 - n u), the error of a float32 sum of n products in any
order is at most gamma(n) times the sum of their sizes (Higham 2002, section 3.1). A layer of
decoded weights in float32 is therefore off by at most gamma(cols + 4) * (sum |w x| + |b|); 4 for
the product with the scale, the zero point, the bias, and one to spare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from lamella.formats import parse
from lamella.frontend.model import Compressed, Model
from lamella.frontend.trace import trace
from lamella.grids import quantize
from lamella.targets.onnx.runner import open_program
from lamella.targets.target import Lowered

UNIT = 2.0**-24


def gamma(count: int) -> float:
    return count * UNIT / (1 - count * UNIT)


class Parallel(nn.Module):
    """Layers that read the same tensor, so that one export serves many cases."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(layer(x) for layer in self.layers)


@dataclass(frozen=True)
class Case:
    """One layer after lowering: its float64 weight and bias, what ran, and what torch shows."""

    weight: np.ndarray
    bias: np.ndarray
    scale: np.ndarray
    y: np.ndarray
    simulated: np.ndarray
    row: dict[str, object]


def compressed(layers: Sequence[nn.Module], x: torch.Tensor, formats: Sequence[str]) -> Model:
    torch.set_num_threads(1)
    model = trace(Parallel(layers).eval(), (x,))
    for layer, format_id in zip(model.layers, formats, strict=True):
        weight = quantize(model.weight(layer), parse(format_id))
        model.set_weight(layer, weight.decode())
        model.packed[layer.id] = Compressed(format_id, weight=weight)
    return model


def cases(model: Model, lowered: Lowered, x: torch.Tensor) -> list[Case]:
    results = list(open_program(lowered.program, 1).run({"x": x.numpy()}).values())
    simulated = model.module(x)
    found = []
    for index, layer in enumerate(model.layers):
        bias = model.module.layers[index].bias if layer.has_bias else None
        packed = model.packed[layer.id].weight
        found.append(
            Case(
                weight=packed.decode().astype(np.float64),
                bias=np.zeros(1) if bias is None else bias.detach().double().numpy(),
                scale=packed.grid.scale,
                y=results[index],
                simulated=simulated[index].detach().numpy(),
                row=lowered.layers[index],
            )
        )
    return found


def linears(count: int, cols: int, *, bias: bool) -> list[nn.Module]:
    torch.manual_seed(1)
    return [nn.Linear(cols, 24, bias=bias) for _ in range(count)]


def random_input(*shape: int) -> torch.Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    x.view(-1, shape[-1])[0] = 0  # a token without a span
    return x


def float_error(case: Case, x: np.ndarray) -> np.ndarray:
    reach = np.abs(x) @ np.abs(case.weight).T + np.abs(case.bias)
    return gamma(case.weight.shape[1] + 4) * reach


def exact(case: Case, x: np.ndarray) -> np.ndarray:
    return x @ case.weight.T + case.bias
