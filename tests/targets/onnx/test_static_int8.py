"""Mirrors targets/onnx/static_int8.py: sums of codes are exact, and what is handed on is float."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import onnx_ir
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv2d, linear, pad, relu6

from lamella.compression.simulate import attach
from lamella.formats import parse
from lamella.frontend.model import ActivationGrid, Compressed, Model
from lamella.frontend.trace import trace
from lamella.grids import quantize
from lamella.targets.onnx import fused
from lamella.targets.onnx.lower import OnnxTarget
from lamella.targets.onnx.runner import open_program
from lamella.targets.target import Lowered

UNIT = 2.0**-24


def gamma(count: int) -> float:
    """Bounds the relative error of `count` float32 operations (Higham 2002, section 3.1)."""
    return count * UNIT / (1 - count * UNIT)


def grid(values: Tensor) -> ActivationGrid:
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    scale = float(np.float32((high - low) / 255))
    return ActivationGrid(scale, round(-low / scale))


def static(module: nn.Module, x: Tensor, format_id: str = "w8a8") -> Model:
    """All layers in one format, rounded to nearest, with grids that span what they read on x."""
    torch.set_num_threads(1)
    model = trace(module.eval(), (x,))
    read: dict[str, Tensor] = {}
    handles = [
        model.module.get_submodule(layer.id).register_forward_pre_hook(
            lambda _module, args, key=layer.id: read.update({key: args[0]})
        )
        for layer in model.layers
    ]
    model.module(x)
    for layer, handle in zip(model.layers, handles, strict=True):
        handle.remove()
        weight = quantize(model.weight(layer), parse(format_id))
        model.set_weight(layer, weight.decode())
        given = grid(read[layer.id])
        model.packed[layer.id] = Compressed(format_id, weight=weight, input=given)
    attach(model, {layer.id: parse(format_id) for layer in model.layers})
    return model


def output(lowered: Lowered, x: Tensor) -> np.ndarray:
    return open_program(lowered.program, 1).run({"x": x.numpy()})["output_0"]


class Alone(nn.Module):
    """One convolution, behind a padding as TensorFlow's SAME asks for, if any."""

    def __init__(self, layer: nn.Module, *padding: int) -> None:
        super().__init__()
        self.layer, self.padding = layer, padding

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layer(pad(x, self.padding) if self.padding else x)
        return result


PRODUCT, SUMS = "MatMulIntegerToFloat", "ConvInteger"
CONVOLUTIONS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "pointwise": (lambda: Alone(nn.Conv2d(6, 8, 1)), PRODUCT),
    "pointwise, no bias": (lambda: Alone(nn.Conv2d(6, 8, 1, bias=False)), PRODUCT),
    "pointwise, strided": (lambda: Alone(nn.Conv2d(6, 8, 1, stride=2)), SUMS),
    "pointwise, padded": (lambda: Alone(nn.Conv2d(6, 8, 1, padding=1)), SUMS),
    "plain": (lambda: Alone(nn.Conv2d(6, 8, 3, padding=1)), SUMS),
    "asymmetric": (lambda: Alone(nn.Conv2d(6, 8, 3, stride=2), 0, 1, 0, 1), SUMS),
    "no bias": (lambda: Alone(nn.Conv2d(6, 8, 3, bias=False)), SUMS),
    "grouped": (lambda: Alone(nn.Conv2d(6, 8, 3, groups=2)), SUMS),
    "depthwise": (lambda: Alone(nn.Conv2d(6, 6, 3, groups=6, padding=1)), SUMS),
    "dilated": (lambda: Alone(nn.Conv2d(6, 8, 3, dilation=2, padding=2)), SUMS),
    "one axis": (lambda: Alone(nn.Conv1d(6, 8, 3, padding=1)), SUMS),
    "one axis, pointwise": (lambda: Alone(nn.Conv1d(6, 8, 1)), PRODUCT),
}


@pytest.mark.parametrize("format_id", ["w8a8", "w5a8"])
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_a_convolution_that_hands_on_floats_is_off_by_three_roundings(
    kind: str, format_id: str
) -> None:
    make, operator = CONVOLUTIONS[kind]
    torch.manual_seed(5)
    module = make()
    shape = (2, 6, 9) if "axis" in kind else (2, 6, 9, 8)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(4))
    model = static(module, x, format_id)
    layer, packed = model.module.layer, model.packed["layer"]
    codes = torch.from_numpy(np.rint(x.numpy() / np.float32(packed.input.scale))).double()
    codes = pad(codes.clamp(-packed.input.zero, 255 - packed.input.zero), module.padding or (0, 0))
    steps = packed.weight.codes.astype(np.float64) - packed.weight.format.levels // 2
    function = conv1d if "axis" in kind else conv2d
    options = (None, layer.stride, layer.padding, layer.dilation, layer.groups)
    total = function(codes, torch.from_numpy(steps).reshape(layer.weight.shape), *options)
    channels = (1, -1, *[1] * (len(shape) - 2))
    scale = packed.weight.grid.scale.astype(np.float64).reshape(channels) * packed.input.scale
    bias = np.zeros(1) if layer.bias is None else layer.bias.detach().double().numpy()
    bias = bias.reshape(channels)
    # The product of the scales, the product with the sum, the addition of the bias.
    bound = gamma(3) * (np.abs(total.numpy() * scale) + np.abs(bias))
    lowered = OnnxTarget().lower(model)
    assert (np.abs(output(lowered, x) - (total.numpy() * scale + bias)) <= bound).all()
    assert [row["operator"] for row in lowered.layers] == [operator]


class Residual(nn.Module):
    """Convolution, depthwise convolution, a residual branch, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.depth = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.project = nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = relu6(self.stem(x))
        x = x + self.project(relu6(self.depth(x)))
        result: Tensor = self.head(x.mean((2, 3)))
        return result


IMAGE = torch.randn((2, 3, 10, 10), generator=torch.Generator().manual_seed(3))


@cache
def residual() -> Model:
    torch.manual_seed(1)
    return static(Residual(), IMAGE)


def off_by(model: Model, layer_id: str, read: Tensor, error: Tensor) -> Tensor:
    """How far apart two outputs of a layer can be if what it reads is known up to `error`.

    Codes differ only where the error reaches a tie, and by one more than the steps it spans.
    Both sides sum in float32 at worst, and one may round the bias to the grid of the products.
    """
    layer, packed = model.module.get_submodule(layer_id), model.packed[layer_id]
    position, steps = read.double() / packed.input.scale, error / packed.input.scale
    from_tie = ((position - position.floor()) - 0.5).abs()
    moved = (from_tie <= steps) * (steps.floor() + 1) * packed.input.scale
    weight, bias = layer.weight.double().abs(), layer.bias.double().abs()
    if isinstance(layer, nn.Linear):
        spread, reach = linear(moved, weight), linear(read.abs() + moved, weight, bias)
    else:
        options = (layer.stride, layer.padding, layer.dilation, layer.groups)
        spread = conv2d(moved, weight, None, *options)
        reach = conv2d(read.abs() + moved, weight, bias, *options)
    half = torch.from_numpy(packed.weight.grid.scale[:, 0]).double() * packed.input.scale / 2
    half = half.reshape(1, -1, *[1] * (spread.dim() - 2))
    return spread + half + 2 * gamma(weight[0].numel() + 8) * reach


def test_a_residual_network_equals_its_simulation_up_to_flips_at_ties() -> None:
    model = residual()
    read: dict[str, Tensor] = {}
    handles = [
        model.module.get_submodule(name).register_forward_pre_hook(
            lambda _module, args, key=name: read.update({key: args[0].double()}), prepend=True
        )
        for name in model.packed
    ]
    expected = model.module(IMAGE).detach().numpy()
    for handle in handles:
        handle.remove()
    with torch.no_grad():
        stem = off_by(model, "stem", read["stem"], torch.zeros_like(read["stem"]))
        depth = off_by(model, "depth", read["depth"], stem)
        project = off_by(model, "project", read["project"], depth)
        reach = 6 + project.max() + model.module.project.weight.abs().sum() * 6
        pooled = (stem + project).mean((2, 3)) + 2 * gamma(102) * reach
        bound = off_by(model, "head", read["head"], pooled).numpy()
    lowered = OnnxTarget().lower(model)
    assert (np.abs(output(lowered, IMAGE) - expected) <= bound).all()
    assert bound.max() < np.abs(expected).max() / 10


def test_every_static_layer_of_a_residual_network_runs_on_integers() -> None:
    lowered = OnnxTarget().lower(residual())
    assert {row["id"]: row["operator"] for row in lowered.layers} == {
        "stem": "ConvInteger",
        "depth": "QLinearConv",
        "project": "MatMulIntegerToFloat",
        "head": "QGemm",
    }
    assert lowered.options["int8_flops_share"] == 1.0
    content = lowered.program["model.onnx"]
    graph = onnx_ir.from_proto(onnx_ir.serde.onnx.ModelProto.FromString(content)).graph
    labels = [node.metadata_props.get("lamella.layer") for node in graph]
    assert sorted(label for label in labels if label) == ["depth", "head", "project", "stem"]


def test_a_layer_behind_an_activation_that_cuts_into_the_next_grid_hands_on_floats() -> None:
    torch.manual_seed(2)
    x = torch.randn(1, 4, 6, 6)
    model = static(nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU6(), nn.Conv2d(4, 4, 3)), x)
    wide = replace(model.packed["2"], input=ActivationGrid(0.0625, 128))
    for packed, operator in ((model.packed["2"], "QLinearConv"), (wide, "ConvInteger")):
        lowered = OnnxTarget().lower(replace(model, packed={**model.packed, "2": packed}))
        assert [row["operator"] for row in lowered.layers] == [operator, "ConvInteger"]


def test_layers_that_onnxruntime_computes_in_float_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernels = fused.integer_kernels

    def without_fusion(content: bytes) -> dict[str, str]:
        return {name: op for name, op in kernels(content).items() if op != "QLinearConv"}

    monkeypatch.setattr(fused, "integer_kernels", without_fusion)
    lowered = OnnxTarget().lower(residual())
    (note, *_) = lowered.notes
    assert "1 of 4 int8 layers in float" in note
    assert note.endswith(": depth")
    assert 0 < lowered.options["int8_flops_share"] < 1


@pytest.mark.parametrize("shrink", [1e-12, 0.0], ids=["nearly silent", "silent"])
def test_the_bias_of_a_silent_channel_stays_accurate(shrink: float) -> None:
    torch.manual_seed(1)
    model = static(Residual(), IMAGE)
    layer = model.layer("head")
    values = model.weight(layer)
    values[2] *= np.float32(shrink)
    # One step of the input times the scale of the row is far below 2^-31 of the bias, or, for the
    # scale 1 of an empty row, larger than the bias.
    weight = quantize(values, parse("w8a8"))
    model.set_weight(layer, weight.decode())
    model.packed["head"] = replace(model.packed["head"], weight=weight)
    lowered = OnnxTarget().lower(model)
    bias = abs(float(model.module.head.bias[2].detach()))
    bound = bias * (layer.cols * 2.0**-23 + 2.0**-22)
    expected = model.module(IMAGE).detach().numpy()
    assert np.abs(output(lowered, IMAGE) - expected)[:, 2].max() <= bound
    assert lowered.layers[-1]["operator"] == "QGemm"
