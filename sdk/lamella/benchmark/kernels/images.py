"""Cases of convolutions, single layers and whole networks; images and weights stay in caches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from lamella import _native
from lamella.benchmark.kernels import peers_images
from lamella.benchmark.kernels.case import Array, Call, Case, Runner, Setup, companion
from lamella.benchmark.kernels.networks import NETWORKS, Layer
from lamella.benchmark.kernels.peaks import peak_of_codes
from lamella.benchmark.kernels.peers import BESIDE

Run = Callable[[], object]
INPUT, SCALE = (0.02, 128), 0.01


def convolution(setup: Setup, op: str, shape: tuple[int, ...]) -> Case:
    """One layer: size x inputs x outputs x kernel x stride, or without outputs where depthwise.

    Its weights are read at several places in turn, as peers do, its image at one.
    """
    if op.startswith("depthwise"):
        size, inputs, kernel, stride = shape
        outputs = inputs
    else:
        size, inputs, outputs, kernel, stride = shape
    layer = Layer(size, inputs, outputs, kernel, stride, op.startswith("depthwise"))
    form = op.rpartition("_")[2]
    weights = layer.products // layer.after**2
    setup.memory.need(4 * max(BESIDE * weights, inputs * size**2))
    image = _image(layer, form)
    binds = [_bind(setup, layer, form, image) for _ in range(BESIDE)]
    repeated = [replace(layer, source=i + 1) for i in range(BESIDE)]
    return _case(setup, (op, str(layer), form), op, binds, repeated, BESIDE)


def network(setup: Setup, op: str, shape: str) -> Case:
    """Every convolution of a network, one after the other: `convolutions_<format>`.

    Where an instruction set has no depthwise kernel, the best of those below it is taken.
    """
    form = op.rpartition("_")[2]
    layers = NETWORKS[shape]()
    binds = [_bind(setup, layer, form, _image(layer, form)) for layer in layers]
    return _case(setup, (op, shape, form), f"conv2d_{form}", binds, layers, 1)


def _case(
    setup: Setup,
    names: tuple[str, str, str],
    prefix: str,
    binds: Sequence[Callable[[str], Run]],
    layers: Sequence[Layer],
    count: int,
) -> Case:
    """Returns the case of layers, a run of which counts as `count` calls."""
    return Case(
        *names,
        nbytes=0,
        operations=2 * sum(layer.products for layer in layers) // count,
        kernels={
            isa: Call(partial(_in_turn, [bind(isa) for bind in binds]), count)
            for isa in setup.choose(_registry(prefix), prefix)
        },
        peers=_peers(setup, names[2], layers, count),
        arithmetic=32 if names[2] == "f32" else peak_of_codes(int(names[2][1])),
    )


def _peers(setup: Setup, form: str, layers: Sequence[Layer], count: int) -> Mapping[str, Call]:
    if "onnxruntime" not in setup.peers:
        return {}
    found = {"onnxruntime_fp32": peers_images.float_convolutions(layers, count, setup.threads)}
    if form != "f32":
        found["onnxruntime"] = peers_images.integer_convolutions(layers, count, setup.threads)
    return found


def _in_turn(runs: Sequence[Run]) -> None:
    for run in runs:
        run()


def _bind(setup: Setup, layer: Layer, form: str, x: Array) -> Callable[[str], Run]:
    """Packs a layer and returns what makes its run with the kernel of an instruction set."""
    before, after = layer.padding
    window = _native.Window(
        (layer.kernel, layer.kernel), (layer.stride, layer.stride), (before, before, after, after)
    )
    own = "w8a8" if layer.depthwise and form != "f32" else form
    kernels = _registry(f"{'depthwise' if layer.depthwise else 'conv2d'}_{own}")
    stored: dict[str, Any] = (
        {"weight": _float_weight(layer)}
        if own == "f32"
        else {"layer": _code_layer(layer, bits=int(own[1]))}
    )
    rest = stored | {"x": x, "window": window, "pool": setup.pool}
    return lambda isa: partial(companion(kernels, isa).run, **rest)


def _registry(prefix: str) -> list[Runner]:
    """Returns the kernels `<prefix>_<isa>`, best first."""
    every: list[Sequence[Runner]] = [
        _native.conv2d_a8_kernels(),
        _native.depthwise_a8_kernels(),
        _native.conv2d_f32_kernels(),
        _native.depthwise_f32_kernels(),
    ]
    return [row for rows in every for row in rows if row.name.startswith(f"{prefix}_")]


def _code_layer(layer: Layer, bits: int) -> _native.Conv2dLayer | _native.DepthwiseLayer:
    """Returns random weights that give codes of about the range of the input's."""
    inputs = 1 if layer.depthwise else layer.inputs
    shape = (layer.outputs, layer.kernel, layer.kernel, inputs)
    codes = np.random.default_rng(1).integers(0, 1 << bits, shape, dtype=np.uint8)
    scale = np.full(layer.outputs, SCALE, np.float32)
    if layer.depthwise:
        deep = _native.pack_depthwise(codes[..., 0].copy())
        return _native.DepthwiseLayer(deep, input=INPUT, scale=scale, output=INPUT)
    wide = _native.pack_conv2d(codes, bits)
    return _native.Conv2dLayer(wide, input=INPUT, scale=scale, output=INPUT)


def _float_weight(layer: Layer) -> Array | _native.Conv2dF32Weight:
    if layer.depthwise:
        return _draw(layer.kernel, layer.kernel, layer.outputs)
    return _native.pack_conv2d_f32(_draw(layer.outputs, layer.kernel, layer.kernel, layer.inputs))


def _image(layer: Layer, form: str) -> Array:
    shape = (1, layer.size, layer.size, layer.inputs)
    if form == "f32":
        return _draw(*shape)
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


def _draw(*shape: int) -> Array:
    return np.random.default_rng(1).standard_normal(shape, np.float32)
