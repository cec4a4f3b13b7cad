"""Convolutions of onnxruntime: layers of a network, each reading what an earlier one gives."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from lamella.benchmark.kernels.case import Array, Call
from lamella.benchmark.kernels.networks import Layer
from lamella.benchmark.kernels.peers import CONTRIBUTED, session

POOL: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}


def float_convolutions(layers: Sequence[Layer], count: int, threads: int) -> Call:
    """Conv in float32, in the faster of the two layouts it may take.

    A run of the layers counts as `count` calls. Images are (1, channels, height, width). With graph
    optimizations nodes work on blocks of channels, and a run pays for the change at its ends.
    """
    first = layers[0]
    x = _draw((1, first.inputs, first.size, first.size))
    constants: dict[str, Array] = {}
    nodes: list[onnx.NodeProto] = []

    def add(i: int, layer: Layer, source: str) -> None:
        inputs = 1 if layer.depthwise else layer.inputs
        shape = (layer.outputs, inputs, layer.kernel, layer.kernel)
        # Keeps the size of numbers from layer to layer.
        constants[f"w{i}"] = _draw(shape) / np.float32(np.sqrt(np.prod(shape[1:])))
        constants[f"b{i}"] = np.zeros(layer.outputs, np.float32)
        names = [source, f"w{i}", f"b{i}"]
        nodes.append(helper.make_node("Conv", names, [f"y{i}"], **_window(layer)))

    def halve(source: str, result: str) -> None:
        nodes.append(helper.make_node("MaxPool", [source], [result], **POOL))

    _connect(layers, add, halve)
    runs = [session(nodes, {"x": x}, constants, threads, optimize=on) for on in (True, False)]
    return Call(min(runs, key=_seconds), count)


def integer_convolutions(layers: Sequence[Layer], count: int, threads: int) -> Call:
    """QLinearConv of uint8 codes and int8 weights with a scale for each channel.

    A run of the layers counts as `count` calls. Images are (1, height, width, channels), as graph
    optimizations would make them.
    """
    first = layers[0]
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (1, first.size, first.size, first.inputs), dtype=np.uint8)
    constants: dict[str, Array] = {"s": np.array(0.02, np.float32), "z": np.array(128, np.uint8)}
    nodes: list[onnx.NodeProto] = []

    def add(i: int, layer: Layer, source: str) -> None:
        inputs = 1 if layer.depthwise else layer.inputs
        shape = (layer.outputs, inputs, layer.kernel, layer.kernel)
        constants[f"w{i}"] = rng.integers(-127, 128, shape, dtype=np.int8)
        constants[f"t{i}"] = np.full(layer.outputs, 0.01, np.float32)
        constants[f"o{i}"] = np.zeros(layer.outputs, np.int8)
        constants[f"b{i}"] = np.zeros(layer.outputs, np.int32)
        names = [source, "s", "z", f"w{i}", f"t{i}", f"o{i}", "s", "z", f"b{i}"]
        options = _window(layer) | {"channels_last": 1}
        nodes.append(
            helper.make_node("QLinearConv", names, [f"y{i}"], domain=CONTRIBUTED, **options)
        )

    def halve(source: str, result: str) -> None:
        nodes.append(
            helper.make_node("NhwcMaxPool", [source], [result], domain=CONTRIBUTED, **POOL)
        )

    _connect(layers, add, halve)
    return Call(session(nodes, {"x": x}, constants, threads), count)


def _connect(
    layers: Sequence[Layer],
    add: Callable[[int, Layer, str], None],
    halve: Callable[[str, str], None],
) -> None:
    """Calls `add` with each layer and the name it reads, `halve` where the image is too large."""
    names, sizes = ["x"], [layers[0].size]
    for i, layer in enumerate(layers):
        source = names[-layer.source]
        if sizes[-layer.source] != layer.size:
            halve(source, f"p{i}")
            source = f"p{i}"
        add(i, layer, source)
        names.append(f"y{i}")
        sizes.append(layer.after)


def _window(layer: Layer) -> dict[str, Any]:
    before, after = layer.padding
    return {
        "kernel_shape": [layer.kernel] * 2,
        "strides": [layer.stride] * 2,
        "pads": [before, before, after, after],
        "group": layer.inputs if layer.depthwise else 1,
    }


def _seconds(run: Callable[[], object]) -> float:
    run()
    start = time.perf_counter()
    for _ in range(3):
        run()
    return time.perf_counter() - start


def _draw(shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(1).standard_normal(shape, np.float32)
