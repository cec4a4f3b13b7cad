"""Mirrors sdk/lamella/compression/emulate.py: emulated models against numpy, bit for bit."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import toys
from torch import Tensor, nn
from torch.nn import functional as F

from lamella.calibration.calibrate import calibrate
from lamella.compression.compress import compress
from lamella.compression.emulate import FUNCTIONS, OnKernels, attention, emulate
from lamella.compression.simulate import bare
from lamella.errors import LoweringError
from lamella.frontend.model import Model
from lamella.frontend.trace import trace
from lamella.grids import Quantized
from lamella.planner.spec import Choice, Plan, Settings
from native import reference_attention, reference_float, reference_linear, reference_static

Float = npt.NDArray[np.float32]
TOKENS, HEADS, WIDTH, SIZE = 7, 4, 48, 12


class AttentionBlock(nn.Module):
    """A norm, attention with two heads of the cache for four, and the sum with what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.query = nn.Linear(WIDTH, HEADS * SIZE)
        self.key, self.value = nn.Linear(WIDTH, 2 * SIZE), nn.Linear(WIDTH, 2 * SIZE)
        self.output = nn.Linear(HEADS * SIZE, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        parts = [
            layer(y).unflatten(2, (-1, SIZE)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        ]
        seen = F.scaled_dot_product_attention(*parts, is_causal=True, enable_gqa=True)
        result: Tensor = x + self.output(seen.transpose(1, 2).flatten(2))
        return result


class Convolutions(nn.Module):
    """One convolution of each kind, moving by two and over padding."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 10, 3, stride=2, padding=1)
        self.deep = nn.Conv2d(10, 10, 3, padding=1, groups=10)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.deep(self.stem(x))
        return result


def compressed(module: nn.Module, batches: list[Any], **formats: str) -> Model:
    model = trace(module.eval(), batches[0])
    chosen = (Choice(row.id, formats.get(row.id, formats["default"])) for row in model.layers)
    settings = Settings(solver="rtn", bias_correction=False)
    return compress(
        model, Plan(choices=tuple(chosen), settings=settings), calibrate(model, batches)
    )


def stored(weight: Quantized | None) -> reference_linear.Weight:
    assert weight is not None
    format, grid = weight.format, weight.grid
    scale = grid.scale.astype(np.float16 if format.group else np.float32)
    zero = None if format.symmetric else grid.zero
    return reference_linear.Weight(format.bits, format.group, weight.codes, scale, zero)


def numbers(tensor: Tensor) -> Float:
    array: Float = tensor.detach().numpy()
    return array


def equal(found: Tensor, expected: Float) -> None:
    given = np.ascontiguousarray(numbers(found))
    np.testing.assert_array_equal(given.view(np.uint32), expected.view(np.uint32), strict=True)


@pytest.mark.parametrize(
    "name", ["w2g16z", "w3g32", "w4g32", "w4g64z", "w5", "w6g128", "w8", "w8z"]
)
def test_a_linear_layer_equals_the_reference(name: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, 100)
    model = compressed(nn.Sequential(nn.Linear(100, 19)), [x, x], default=name)
    bias = numbers(model.module.get_parameter("0.bias"))
    expected = reference_linear.linear(
        stored(model.packed["0"].weight), numbers(x).reshape(10, 100), bias
    )
    equal(emulate(model)(x), expected.reshape(2, 5, 19))


@pytest.mark.parametrize("bits", [4, 8])
def test_convolutions_equal_the_reference(bits: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 9, 11)
    model = compressed(Convolutions(), [x, x], stem=f"w{bits}a8", deep="w8a8", default="")
    y = numbers(x)
    for layer, stride in ((model.layers[0], 2), (model.layers[1], 1)):
        packed = model.packed[layer.id]
        assert packed.weight is not None
        assert packed.input is not None
        codes = packed.weight.codes.reshape(10, -1, 3, 3).transpose(0, 2, 3, 1)
        grid = packed.input
        static = reference_static.Layer(
            codes,
            packed.weight.format.bits,
            1 if layer.kind == "conv2d" else 10,
            (grid.scale, grid.zero),
            packed.weight.grid.scale[:, 0],
            numbers(model.module.get_parameter(f"{layer.id}.bias")),
        )
        rounded = np.clip(np.rint(y / np.float32(grid.scale)) + grid.zero, 0, 255).astype(np.uint8)
        window = reference_static.Window((stride, stride), (1, 1, 1, 1))
        moved = reference_static.conv2d(static, rounded.transpose(0, 2, 3, 1), window)
        y = np.ascontiguousarray(moved.transpose(0, 3, 1, 2).astype(np.float32))
    equal(emulate(model)(x), y)


def test_an_attention_block_equals_the_reference() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, TOKENS, WIDTH)
    block = AttentionBlock()
    nn.init.normal_(block.norm.weight)
    model = compressed(block, [x, x], default="w4g16z", output="w6g32")
    norm = model.module.get_submodule("norm")
    rows = numbers(x).reshape(-1, WIDTH)
    y = reference_float.layernorm(rows, numbers(norm.weight), numbers(norm.bias), norm.eps)
    parts = []
    for name in ("query", "key", "value"):
        bias = numbers(model.module.get_parameter(f"{name}.bias"))
        part = reference_linear.linear(stored(model.packed[name].weight), y, bias)
        parts.append(part.reshape(2, TOKENS, -1, SIZE))
    causal = np.tri(TOKENS, dtype=np.bool_)
    caches = [[reference_attention.Cache("float32", each, None) for each in p] for p in parts[1:]]
    seen = [
        reference_attention.attend(query, keys, values, causal, SIZE**-0.5)
        for query, keys, values in zip(parts[0], *caches, strict=True)
    ]
    output = stored(model.packed["output"].weight)
    expected = rows + reference_linear.linear(output, np.stack(seen).reshape(len(rows), -1))
    equal(emulate(model)(x), expected.reshape(x.shape))


class Kinds(nn.Module):
    """What stays float, on one axis, on two, in groups and for each channel; and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Conv1d(6, 8, 3, stride=2, padding=1)
        self.grouped = nn.Conv2d(8, 12, (1, 3), padding=(0, 2), dilation=(1, 2), groups=2)
        self.deep = nn.Conv2d(12, 12, (3, 3), padding=1, groups=12, bias=False)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.deep(self.grouped(self.line(x).unsqueeze(2)))
        result: Tensor = self.head(y.mean((2, 3)))
        return result


@pytest.mark.parametrize("name", ["f32", "f16"])
def test_float_layers_are_those_of_torch(name: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, 15)
    model = compressed(Kinds(), [x, x], default=name)
    on_kernels = emulate(model)
    found = [type(part).__name__ for part in on_kernels.modules()]
    assert (found.count("ConvolutionOnKernels"), found.count("LinearOnKernels")) == (3, 1)
    with torch.inference_mode():
        torch.testing.assert_close(on_kernels(x), model.module(x))


VALUES = reference_float.draw(11, 6, 37)
WEIGHT, SHIFT = reference_float.draw(12, 37), reference_float.draw(13, 37)
CALLS: dict[str, tuple[Callable[[Tensor], Tensor], Float]] = {
    "softmax": (
        lambda x: F.softmax(x, 0),
        np.ascontiguousarray(reference_float.softmax(np.ascontiguousarray(VALUES.T)).T),
    ),
    "layer_norm": (
        lambda x: F.layer_norm(x, (37,), torch.from_numpy(WEIGHT), torch.from_numpy(SHIFT), 1e-6),
        reference_float.layernorm(VALUES, WEIGHT, SHIFT, 1e-6),
    ),
    "rms_norm": (
        lambda x: F.rms_norm(x, (37,), torch.from_numpy(WEIGHT), 1e-6),
        reference_float.rmsnorm(VALUES, WEIGHT, 1e-6),
    ),
    "gelu": (F.gelu, reference_float.gelu(VALUES)),
    "gelu, tanh": (lambda x: F.gelu(x, approximate="tanh"), reference_float.gelu_tanh(VALUES)),
    "silu": (F.silu, reference_float.silu(VALUES)),
    "silu in place": (lambda x: F.silu(x, inplace=True), reference_float.silu(VALUES)),
    "hardswish": (F.hardswish, reference_float.hard_swish(VALUES)),
    "sigmoid": (torch.sigmoid, reference_float.sigmoid(VALUES)),
    "tanh": (torch.tanh, reference_float.tanh(VALUES)),
}


class Applied(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize("name", CALLS)
def test_functions_of_torch_equal_the_references(name: str) -> None:
    function, expected = CALLS[name]
    equal(OnKernels(Applied(function))(torch.from_numpy(VALUES.copy())), expected)


def test_every_function_is_tested() -> None:
    tested = {name.partition(",")[0].removesuffix(" in place") for name in CALLS}
    assert tested | {"scaled_dot_product_attention"} == {each.__name__ for each in FUNCTIONS}


TOYS = {"bert": ("w4g32", toys.bert), "llama": ("w4g16z", toys.llama), "gpt2": ("w8", toys.gpt2)}


def emulated(name: str) -> tuple[Tensor, Tensor]:
    """Returns what a toy gives on the kernels and what torch gives for its decoded weights."""
    format, make = TOYS[name]
    ids = toys.tokens()
    model = compressed(make(), [{"input_ids": ids}], default=format)
    with torch.inference_mode():
        return emulate(model)(input_ids=ids)[0], bare(model)(input_ids=ids)[0]


@pytest.mark.parametrize("name", TOYS)
def test_a_model_stays_near_its_decoded_weights(name: str) -> None:
    found, decoded = emulated(name)
    error = (found - decoded).norm() / decoded.norm()
    assert 1e-5 < error < 0.02


def test_portable_kernels_give_the_same_bits() -> None:
    program = (
        "import hashlib; from sdk.compression.test_emulate import emulated\n"
        "print(hashlib.sha256(emulated('llama')[0].numpy().tobytes()).hexdigest())"
    )
    portable = os.environ | {"LAMELLA_ISA": "portable", "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run(
        [sys.executable, "-c", program], env=portable, capture_output=True, text=True, check=True
    )
    here = hashlib.sha256(numbers(emulated("llama")[0]).tobytes()).hexdigest()
    assert found.stdout.split() == [here]


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


LEFT_PADDED = torch.ones(6, 6, dtype=torch.bool).tril() & (torch.arange(6) >= 2)
SLIDING = torch.ones(6, 6, dtype=torch.bool).tril() & torch.ones(6, 6).triu(-2).bool()
MASKS = {
    "none": None,
    "causal": torch.ones(6, 6, dtype=torch.bool).tril(),
    "sliding": SLIDING,
    "hidden keys": (torch.arange(6) < 4).expand(6, 6),
    "added": torch.zeros(6, 6).masked_fill(~SLIDING, -torch.inf),
    "added to heads": torch.zeros(2, 1, 6, 6).masked_fill(~SLIDING, torch.finfo().min),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_mean_what_they_mean_to_torch(name: str) -> None:
    query, key, value = draw(2, 4, 6, 8), draw(2, 2, 6, 8), draw(2, 2, 6, 8)
    options = {"attn_mask": MASKS[name], "enable_gqa": True, "scale": 0.7}
    expected = F.scaled_dot_product_attention(query, key, value, **options)
    torch.testing.assert_close(attention(query, key, value, **options), expected)


def test_causal_and_left_padding_meet() -> None:
    query = draw(1, 2, 6, 8)
    expected = F.scaled_dot_product_attention(query, query, query, attn_mask=LEFT_PADDED)
    found = attention(query, query, query, attn_mask=LEFT_PADDED)
    torch.testing.assert_close(found[:, :, 2:], expected[:, :, 2:])
    assert not found[:, :, :2].any()


@pytest.mark.parametrize("mask", [draw(6, 6) > 0, draw(6, 6), draw(1, 2, 6, 6) > 0])
def test_other_masks_are_refused(mask: Tensor) -> None:
    query = draw(1, 2, 6, 8)
    with pytest.raises(LoweringError, match="mask"):
        attention(query, query, query, attn_mask=mask)


def test_a_grid_per_token_is_refused() -> None:
    x = draw(4, 32)
    model = compressed(nn.Sequential(nn.Linear(32, 8)), [x], default="w8a8d")
    with pytest.raises(LoweringError, match=r"layer 0: w8a8d has one .* use w8$"):
        emulate(model)
