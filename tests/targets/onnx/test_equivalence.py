"""What onnxruntime computes, optimisations on, against float64 arithmetic on the decoded weights.

Bounds, with u = 2^-24 and gamma(n) = n u / (1 - n u) (Higham 2002, section 3.1: the error of a
float32 sum of n products in any order is at most gamma(n) times the sum of their sizes):

- weights only: gamma(cols + 4) * (sum |w x| + |b|); 4 for the product with the scale, the zero
  point, the bias, and one to spare.
- MatMulNBits at level 4: in addition each input is off by at most half a step of its block,
  max|x| / 254.
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
from torch import nn

from lamella.formats import GROUPS, parse
from lamella.frontend.model import ActivationGrid, Compressed, Model
from lamella.frontend.trace import trace
from lamella.grids import quantize
from lamella.targets.onnx.lower import OnnxTarget
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


WEIGHT_ONLY = [
    *(f"w{bits}g{group}{zero}" for bits in (2, 4, 8) for group in GROUPS for zero in ("", "z")),
    *("w3g32", "w5g16z", "w6g64", "w8", "w4", "w2z"),
]
# Columns that fill the groups, and columns that end inside a group and inside a byte.
SHAPES = {"matrix": (3, 128), "tokens": (2, 3, 128), "ragged": (3, 83)}


@cache
def weight_only(shape: str, level: int) -> tuple[np.ndarray, dict[str, Case]]:
    x = random_input(*SHAPES[shape])
    layers = linears(len(WEIGHT_ONLY), x.shape[-1], bias=shape != "ragged")
    model = compressed(layers, x, WEIGHT_ONLY)
    lowered = OnnxTarget(accuracy_level=level).lower(model)
    found = cases(model, lowered, x)
    return x.double().numpy(), dict(zip(WEIGHT_ONLY, found, strict=True))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("format_id", WEIGHT_ONLY)
def test_a_weight_only_layer_differs_by_the_order_of_additions(format_id: str, shape: str) -> None:
    x, found = weight_only(shape, 0)
    case = found[format_id]
    bound = float_error(case, x)
    assert (np.abs(case.y - exact(case, x)) <= bound).all()
    assert (np.abs(case.y - case.simulated) <= 2 * bound).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("format_id", [name for name in WEIGHT_ONLY if "g" in name])
def test_level_four_is_off_by_half_a_step_of_each_block_of_inputs(
    format_id: str, shape: str
) -> None:
    x, found = weight_only(shape, 4)
    case, group = found[format_id], parse(format_id).group
    cols = x.shape[-1]
    blocks = np.abs(np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -cols % group)]))
    peaks = blocks.reshape(*x.shape[:-1], -1, group).max(axis=-1)
    half_step = np.repeat(peaks / 254, group, axis=-1)[..., :cols]
    bound = half_step @ np.abs(case.weight).T + float_error(case, np.abs(x) + half_step)
    assert (np.abs(case.y - exact(case, x)) <= bound).all()


def test_level_four_is_in_use_where_it_is_asked_for() -> None:
    x, found = weight_only("matrix", 4)
    case = found["w4g32"]
    assert (np.abs(case.y - exact(case, x)) > float_error(case, x)).any()


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


EMBEDDINGS = ["w4g16", "w4g32z", "w8g64", "w2g128z", "w3g32", "w8"]


def test_an_embedding_is_exact() -> None:
    ids = torch.tensor([[0, 3, 19, 3]])
    torch.manual_seed(6)
    model = compressed([nn.Embedding(20, 72) for _ in EMBEDDINGS], ids, EMBEDDINGS)
    results = open_program(OnnxTarget().lower(model).program, 1).run({"x": ids.numpy()})
    for y, layer in zip(results.values(), model.layers, strict=True):
        np.testing.assert_array_equal(y, model.packed[layer.id].weight.decode()[ids.numpy()])
