"""Mirrors sdk/lamella/benchmark/kernels/networks.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lamella.benchmark.kernels.networks import different_layers, efficientnet_lite0, resnet18

SAMPLE = Path(__file__).resolve().parents[4] / "samples/vision/efficientnet_lite0.py"


def test_efficientnet_has_the_layers_of_the_sample() -> None:
    located = importlib.util.spec_from_file_location("sample_layers", SAMPLE)
    assert located is not None
    assert located.loader is not None
    sample: Any = importlib.util.module_from_spec(located)
    located.loader.exec_module(sample)
    seen = []

    def note(layer: nn.Conv2d, _: object, output: torch.Tensor) -> None:
        wide = (layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.stride[0])
        seen.append((*wide, layer.groups > 1, output.shape[2]))

    net = sample.EfficientNetLite0().eval()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(note)
    with torch.no_grad():
        net(torch.zeros(1, 3, sample.SIZE, sample.SIZE))
    assert seen == [
        (one.inputs, one.outputs, one.kernel, one.stride, one.depthwise, one.after)
        for one in efficientnet_lite0()
    ]


def test_resnet_has_the_products_of_the_paper() -> None:
    layers = resnet18()
    # 1.8e9 in the paper's table 1, with 512,000 for the classifier; 20 convolutions.
    assert sum(layer.products for layer in layers) == 1_814_073_344 - 512_000
    assert len(layers) == 20


def test_every_layer_reads_what_an_earlier_one_gives() -> None:
    for layers in (efficientnet_lite0(), resnet18()):
        for i, layer in enumerate(layers[1:], 1):
            source = layers[i - layer.source]
            assert source.outputs == layer.inputs
            assert source.after in (layer.size, 2 * layer.size)  # a pool follows the stem of ResNet


def test_padding_keeps_the_size_over_the_stride() -> None:
    layers = different_layers(depthwise=False) + different_layers(depthwise=True)
    for layer in layers:
        room = layer.size + sum(layer.padding) - layer.kernel
        assert room // layer.stride + 1 == layer.after
    assert len({(layer.depthwise, str(layer)) for layer in layers}) == len(layers)
