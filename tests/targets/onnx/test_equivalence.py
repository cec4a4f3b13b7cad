"""Layers with int8 inputs in onnxruntime, optimisations on, against float64 on decoded weights.

Bounds, with gamma as in `parallel_layers`:

- int8 inputs: sums of codes are exact, so the error is gamma(8) * (|sum| + |b|), plus half a step
  of an int32 bias, scale_x * |scale_w| / 2.
- convolutions whose output the next layer rounds: equal to the rounded float64 value unless that
  lies closer to a rounding tie than the error above, and then one step off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
import torch
from parallel_layers import (
    Case,
    cases,
    compressed,
    exact,
    float_error,
    gamma,
    linears,
    random_input,
)
from torch import nn

from lamella.formats import parse
from lamella.frontend.model import ActivationGrid
from lamella.targets.onnx.lower import OnnxTarget
from lamella.targets.onnx.runner import open_program

DYNAMIC = ["w8a8d", "w6a8d", "w4a8d", "w4g32a8d", "w8za8d"]


def token_rounded(x: np.ndarray) -> np.ndarray:
    scale = np.abs(x).max(axis=-1, keepdims=True) / np.float32(127)
    scale = np.where(scale > 0, scale, np.float32(1))
    return (np.rint(x / scale) * scale).astype(np.float64)


@cache
def dynamic(shape: tuple[int, ...], bias: bool) -> tuple[np.ndarray, dict[str, Case]]:
    x = random_input(*shape)
    model = compressed(linears(len(DYNAMIC), shape[-1], bias=bias), x, DYNAMIC)
    found = cases(model, OnnxTarget().lower(model), x)
    return token_rounded(x.numpy()), dict(zip(DYNAMIC, found, strict=True))


@pytest.mark.parametrize(("shape", "bias"), [((4, 96), True), ((2, 3, 96), True), ((4, 83), False)])
@pytest.mark.parametrize("format_id", DYNAMIC)
def test_a_dynamic_layer_equals_exact_sums_of_codes(
    format_id: str, shape: tuple[int, ...], bias: bool
) -> None:
    seen, found = dynamic(shape, bias)
    case = found[format_id]
    assert (np.abs(case.y - exact(case, seen)) <= float_error(case, seen)).all()


STATIC = ["w8a8", "w6a8", "w4a8", "w4g32a8", "w8za8"]


def grid_of(values: np.ndarray) -> ActivationGrid:
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    scale = float(np.float32((high - low) / 255))
    return ActivationGrid(scale, round(-low / scale))


def static_rounded(x: np.ndarray, grid: ActivationGrid) -> np.ndarray:
    codes = np.clip(np.rint(x / np.float32(grid.scale)) + grid.zero, 0, 255)
    return (codes - grid.zero) * np.float64(np.float32(grid.scale))


@cache
def static(shape: tuple[int, ...], bias: bool) -> tuple[np.ndarray, float, dict[str, Case]]:
    x = random_input(*shape)
    model = compressed(linears(len(STATIC), shape[-1], bias=bias), x, STATIC)
    grid = grid_of(x.numpy() / 2)  # the largest inputs are clipped
    for layer_id, packed in model.packed.items():
        model.packed[layer_id] = replace(packed, input=grid)
    found = cases(model, OnnxTarget().lower(model), x)
    return static_rounded(x.numpy(), grid), grid.scale, dict(zip(STATIC, found, strict=True))


@pytest.mark.parametrize(("shape", "bias"), [((4, 96), True), ((2, 3, 96), True), ((4, 83), False)])
@pytest.mark.parametrize("format_id", STATIC)
def test_a_static_linear_layer_equals_exact_sums_of_codes(
    format_id: str, shape: tuple[int, ...], bias: bool
) -> None:
    seen, step, found = static(shape, bias)
    case = found[format_id]
    bound = float_error(case, seen)
    if bias and not parse(format_id).group:
        bound = bound + np.abs(case.scale[:, 0]) * step / 2
    assert (np.abs(case.y - exact(case, seen)) <= bound).all()
    fused = case.row["operator"] in ("QGemm", "MatMulIntegerToFloat")
    assert fused == (format_id in ("w8a8", "w6a8", "w4a8"))


CONVOLUTIONS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: nn.Conv2d(6, 8, 3, padding=1),
    "strided": lambda: nn.Conv2d(6, 8, 3, stride=2, bias=False),
    "pointwise": lambda: nn.Conv2d(6, 8, 1),
    "grouped": lambda: nn.Conv2d(6, 8, 3, groups=2),
    "depthwise": lambda: nn.Conv2d(6, 6, 3, groups=6, padding=1),
    "dilated": lambda: nn.Conv2d(6, 8, 3, dilation=2, padding=2),
}


@dataclass(frozen=True)
class Rounded:
    """A convolution whose output a layer rounds: float64 result, its error, grid, and values."""

    exact: np.ndarray
    error: np.ndarray
    output: ActivationGrid
    y: np.ndarray
    operator: str


@cache
def convolutions(format_id: str) -> dict[str, Rounded]:
    return dict(zip(CONVOLUTIONS, rounded(list(CONVOLUTIONS.values()), format_id, 2), strict=True))


def rounded(makers: Sequence[Callable[[], nn.Module]], format_id: str, axes: int) -> list[Rounded]:
    x = torch.randn((2, 6, *[9] * axes), generator=torch.Generator().manual_seed(4))
    torch.manual_seed(5)
    chains = [nn.Sequential(layer := make(), identity(layer)) for make in makers]
    model = compressed(chains, x, [format_id] * 2 * len(makers))
    grid = grid_of(x.numpy())
    seen = torch.from_numpy(static_rounded(x.numpy(), grid))
    wanted = []
    pairs = zip(model.layers[::2], model.layers[1::2], strict=True)
    for index, (layer, reader) in enumerate(pairs):
        packed = model.packed[layer.id]
        result, reach = wide_convolution(model.module.layers[index][0], seen)
        output = grid_of(result)
        model.packed[layer.id] = replace(packed, input=grid)
        model.packed[reader.id] = replace(model.packed[reader.id], input=output)
        bias_step = np.abs(packed.weight.grid.scale).max() * grid.scale if layer.has_bias else 0
        wanted.append((result, gamma(8) * reach + bias_step / 2, output))
    lowered = OnnxTarget().lower(model)
    results = list(open_program(lowered.program, 1).run({"x": x.numpy()}).values())
    return [
        Rounded(*expected, y, str(row["operator"]))
        for expected, y, row in zip(wanted, results, lowered.layers[::2], strict=True)
    ]


def identity(layer: nn.Module) -> nn.Module:
    """A layer that reads the output of a convolution on a grid and hands it on as it is."""
    reader = type(layer)(layer.out_channels, layer.out_channels, 1, groups=layer.out_channels)
    nn.init.ones_(reader.weight)
    nn.init.zeros_(reader.bias)
    return reader


def wide_convolution(layer: nn.Module, x: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The float64 result of a convolution, and the sum of the sizes of its products."""
    function = nn.functional.conv1d if x.dim() == 3 else nn.functional.conv2d
    options = (layer.stride, layer.padding, layer.dilation, layer.groups)
    weight = layer.weight.detach().double()
    bias = None if layer.bias is None else layer.bias.detach().double()
    result = function(x, weight, bias, *options)
    reach = function(x.abs(), weight.abs(), None if bias is None else bias.abs(), *options)
    return result.numpy(), reach.numpy()


def check_rounded(case: Rounded) -> None:
    position = case.exact / case.output.scale
    wanted = np.clip(np.rint(position), -case.output.zero, 255 - case.output.zero)
    codes = np.rint(case.y / case.output.scale)
    from_tie = np.abs(np.abs(position - np.floor(position)) - 0.5)
    sure = from_tie > case.error / case.output.scale
    assert sure.mean() > 0.9
    np.testing.assert_array_equal(codes[sure], wanted[sure])
    assert np.abs(codes - wanted).max() <= 1
    assert case.operator == "QLinearConv"


@pytest.mark.parametrize("format_id", ["w8a8", "w4a8"])
@pytest.mark.parametrize("shape", CONVOLUTIONS)
def test_a_static_convolution_flips_codes_only_at_ties(shape: str, format_id: str) -> None:
    check_rounded(convolutions(format_id)[shape])


def test_a_static_convolution_along_one_axis_flips_codes_only_at_ties() -> None:
    (case,) = rounded([lambda: nn.Conv1d(6, 8, 3, padding=1)], "w8a8", 1)
    check_rounded(case)
