"""Models lowered to programs, against the emulation on the same kernels and against onnxruntime."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
import toys
from torch import nn

from lamella.compression.emulate import emulate
from lamella.errors import LoweringError
from lamella.formats import parse
from lamella.frontend.model import ActivationGrid, Compressed, Model
from lamella.frontend.trace import trace
from lamella.grids import quantize
from lamella.targets.native.runner import open_program
from lamella.targets.native.target import NativeTarget
from lamella.targets.onnx.lower import OnnxTarget
from lamella.targets.onnx.runner import open_program as open_onnx

GRID = ActivationGrid(0.05, 100)


def packed(model: Model, formats: Sequence[str], table: str = "w8g32") -> Model:
    """Gives the layers of a model the formats by turns."""
    turns = itertools.cycle(formats)
    for layer in model.layers:
        format_id = table if layer.kind == "embedding" else next(turns)
        format = parse(format_id)
        if format.is_float:
            values = model.weight(layer).astype(np.float16 if format.bits == 16 else np.float32)
            model.set_weight(layer, values.astype(np.float32))
            model.packed[layer.id] = Compressed(format_id, values=values.astype(np.float32))
            continue
        weight = quantize(model.weight(layer), format)
        model.set_weight(layer, weight.decode())
        grid = GRID if format.activation == "static" else None
        model.packed[layer.id] = Compressed(format_id, weight=weight, input=grid)
    return model


def run(model: Model, feeds: dict[str, Any], threads: int = 1, *, fused: bool = True) -> np.ndarray:
    lowered = NativeTarget(fused).lower(model)
    return next(iter(open_program(lowered.program, threads).run(feeds).values()))


def bert() -> tuple[Model, dict[str, torch.Tensor]]:
    ids = toys.tokens(3, 9)
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    given = {"input_ids": ids, "attention_mask": mask}
    free = {name: dict.fromkeys((0, 1), torch.export.Dim.DYNAMIC) for name in given}
    return trace(toys.bert(), given, free), given


@pytest.mark.parametrize("table", ["w8g32", "w4", "f16", "f32"])
def test_a_bert_of_mixed_formats_equals_the_emulation_bit_for_bit(table: str) -> None:
    model, given = bert()
    packed(model, ["w4g32", "w8", "w6g16z", "f32", "w3g32z", "w5g64", "w2g16z", "f16"], table)
    expected = emulate(model)(**given).last_hidden_state.numpy()
    feeds = {name: tensor.numpy() for name, tensor in given.items()}
    lowered = NativeTarget().lower(model)
    for threads in (1, 3):
        runner = open_program(lowered.program, threads)
        y = runner.run(feeds)["last_hidden_state"]
        assert y.tobytes() == expected.tobytes()
        # Any other number of sequences and tokens, and fewer than before.
        short = {name: array[:1, :4] for name, array in feeds.items()}
        again = emulate(model)(**{n: t[:1, :4] for n, t in given.items()}).last_hidden_state
        assert runner.run(short)["last_hidden_state"].tobytes() == again.numpy().tobytes()


def test_a_float_bert_is_close_to_torch() -> None:
    model, given = bert()
    expected = model.module(**given).last_hidden_state.detach().numpy()
    y = run(model, {name: tensor.numpy() for name, tensor in given.items()})
    np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.parametrize("formats", [["w8a8"], ["w4a8", "w6a8", "w8a8"]])
def test_a_network_that_is_not_fused_equals_the_emulation(formats: list[str]) -> None:
    x = toys.image()
    model = packed(_without_norms(trace(toys.convnet(), (x,))), formats)
    expected = emulate(model)(x).numpy()
    for threads in (1, 3):
        y = run(model, {"image": x.numpy()}, threads, fused=False)
        assert y.tobytes() == expected.tobytes()


@pytest.mark.parametrize("formats", [["f32"], ["w8a8", "f32"]])
def test_a_float_classifier_differs_by_the_order_of_one_average(formats: list[str]) -> None:
    x = toys.image()
    model = packed(trace(toys.convnet(), (x,)), formats)
    expected = emulate(model)(x).numpy()
    y = run(model, {"image": x.numpy()}, fused=False)
    # 64 terms of the average in another order, in torch, and the folded normalisation.
    np.testing.assert_allclose(y, expected, atol=64 * 2.0**-24 * 8)


def _without_norms(model: Model) -> Model:
    """Makes normalisations do nothing: torch computes them in another order than a bias."""
    for module in model.module.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.zero_()
            module.running_var.fill_(1 - module.eps)
            module.weight.data.fill_(1)
            module.bias.data.zero_()
    return model


class Residual(nn.Module):
    """Two inverted residuals whose sums other layers read as codes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.wide = nn.ModuleList(nn.Conv2d(8, 24, 1) for _ in range(2))
        self.deep = nn.ModuleList(nn.Conv2d(24, 24, 3, 1, 1, groups=24) for _ in range(2))
        self.back = nn.ModuleList(nn.Conv2d(24, 8, 1) for _ in range(2))
        self.head = nn.Conv2d(8, 16, 1)
        self.classify = nn.Linear(16, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = nn.functional.relu6(self.stem(image))
        for wide, deep, back in zip(self.wide, self.deep, self.back, strict=True):
            y = nn.functional.relu6(deep(nn.functional.relu6(wide(x))))
            x = x + back(y)
        return self.classify(torch.relu(self.head(x)).mean((2, 3)))


def test_fused_residuals_stay_within_the_steps_of_their_codes() -> None:
    torch.manual_seed(3)
    x = toys.image(1)
    model = packed(trace(Residual().eval(), (x,)), ["w8a8"])
    _, program = NativeTarget().program(model)
    calls = [call for call in program.calls if call.operation == "conv2d_a8"]
    assert sum(call.operands[6] is not None for call in calls) == 2
    assert not any(call.operation == "add" for call in program.calls)
    plain = run(model, {"image": x.numpy()}, fused=False)
    assert plain.tobytes() == emulate(model)(x).numpy().tobytes()
    fused = run(model, {"image": x.numpy()})
    session = open_onnx(OnnxTarget().lower(model).program, 1)
    reference = next(iter(session.run({"image": x.numpy()}).values()))
    # A code that is off by one moves an output by at most its step times the weights behind it;
    # what a residual loses is half a step for each of the two sums.
    last = np.abs(model.weight(model.layer("classify"))).sum(axis=1).max()
    head = np.abs(model.weight(model.layer("head"))).sum(axis=1).max()
    bound = last * GRID.scale * (1 + 3 * head)
    assert np.abs(fused - plain).max() <= bound
    assert np.abs(fused - reference).max() <= bound
    assert np.abs(fused - plain).max() < 0.1 * np.abs(plain).max()


def test_layers_hand_on_codes_and_images_move_once() -> None:
    model = packed(trace(toys.convnet(), (toys.image(),)), ["w8a8"])
    text = NativeTarget().program(model)[1].text()
    assert text.count("transpose(") == 1
    # The image, the sums of two branches, and the average before the classifier.
    assert text.count("quantize(") == 3
    assert "relu" not in text


def test_what_has_no_operation_is_named_with_the_way_out() -> None:
    class Sorts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cumsum(self.inner(x), 1)

    with pytest.raises(LoweringError, match=r"CumSum in .*no operation.*use the target onnx"):
        NativeTarget().lower(trace(Sorts(), (torch.ones(2, 4),)))


def test_equal_models_give_equal_bytes() -> None:
    first, second = (
        NativeTarget().lower(packed(trace(toys.convnet(), (toys.image(),)), ["w4a8"])).program
        for _ in range(2)
    )
    assert first == second
