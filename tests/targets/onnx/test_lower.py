"""Mirrors targets/onnx/lower.py: whole models, bytes, rows, notes and refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx_ir
import pytest
import torch
from torch import nn

from lamella.compression.simulate import attach
from lamella.errors import LoweringError
from lamella.formats import parse
from lamella.frontend.model import Compressed, Model
from lamella.frontend.trace import trace
from lamella.grids import quantize
from lamella.targets.onnx.lower import OnnxTarget
from lamella.targets.onnx.runner import open_program
from lamella.targets.target import Lowered

COLS = 64


class Tied(nn.Module):
    """An embedding, two layers, and a head that shares the embedding's weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(40, COLS)
        self.up = nn.Linear(COLS, 96)
        self.down = nn.Linear(96, COLS, bias=False)
        self.head = nn.Linear(COLS, 40, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = self.embed(ids)
        return {"logits": self.head(hidden + self.down(torch.relu(self.up(hidden))))}


IDS = torch.tensor([[0, 7, 39, 7]])


def tied(formats: str | Mapping[str, str]) -> Model:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = trace(Tied().eval(), (IDS,))
    for layer in model.layers:
        if layer.tied_to is None:
            format_id = formats if isinstance(formats, str) else formats[layer.id]
            model.packed[layer.id] = stored(model, layer.id, format_id)
    for layer in model.layers:
        if layer.tied_to is not None:
            model.packed[layer.id] = model.packed[layer.tied_to]
    return model


def stored(model: Model, layer_id: str, format_id: str) -> Compressed:
    layer, format = model.layer(layer_id), parse(format_id)
    if format.is_float:
        values = model.weight(layer)
        if format.bits == 16:
            values = values.astype(np.float16).astype(np.float32)
        model.set_weight(layer, values)
        return Compressed(format_id, values=values)
    weight = quantize(model.weight(layer), format)
    model.set_weight(layer, weight.decode())
    return Compressed(format_id, weight=weight)


def simulate(model: Model) -> None:
    formats = {layer.id: parse("f32") for layer in model.layers}
    formats |= {layer_id: parse(packed.format) for layer_id, packed in model.packed.items()}
    attach(model, formats)


def logits(lowered: Lowered) -> np.ndarray:
    return open_program(lowered.program, 1).run({"ids": IDS.numpy()})["logits"]


def simulated(model: Model) -> np.ndarray:
    return model.module(IDS)["logits"].detach().numpy()


def size(lowered: Lowered) -> int:
    return len(lowered.program["model.onnx"])


@pytest.mark.parametrize("format_id", ["w4g32", "w8g64z", "w3g16", "w8", "f16", "f32"])
def test_a_tied_weight_is_stored_once(format_id: str) -> None:
    model = tied(format_id)
    lowered = OnnxTarget().lower(model)
    rows = {row["id"]: row for row in lowered.layers}
    promised = parse(format_id).nbytes(40, COLS)
    owner, sharer = ("embed", "head") if model.layer("head").tied_to else ("head", "embed")
    assert rows["embed"]["nbytes"] + rows["head"]["nbytes"] <= promised + 400
    assert size(lowered) <= sum(row["nbytes"] for row in lowered.layers) + 96 * 4 + 4000
    assert rows[owner]["format"] == rows[sharer]["format"] == format_id
    np.testing.assert_allclose(logits(lowered), simulated(model), rtol=0, atol=1e-4)


def test_each_layer_may_have_its_own_format() -> None:
    formats = {"embed": "w4g32", "head": "w4g32", "up": "w8a8d", "down": "w5g32"}
    model = tied(formats)
    lowered = OnnxTarget().lower(model)
    assert {row["id"]: row["operator"] for row in lowered.layers} == {
        "embed": "GatherBlockQuantized",
        "head": "MatMulNBits",
        "up": "MatMulInteger",
        "down": "MatMul",
    }
    simulate(model)
    np.testing.assert_allclose(logits(lowered), simulated(model), rtol=0, atol=1e-4)


def test_every_layer_keeps_its_id_on_the_node_that_carries_it_out() -> None:
    formats = {"embed": "w4g32", "head": "w4g32", "up": "w8a8d", "down": "w3g32"}
    content = OnnxTarget().lower(tied(formats)).program["model.onnx"]
    graph = onnx_ir.from_proto(onnx_ir.serde.onnx.ModelProto.FromString(content)).graph
    labels = [node.metadata_props.get("lamella.layer") for node in graph]
    assert sorted(label for label in labels if label) == ["down", "embed", "head", "up"]


@pytest.mark.parametrize("format_id", ["w4g32", "w5g16z", "w8a8d"])
def test_equal_models_give_equal_bytes(format_id: str) -> None:
    formats = {"embed": "w4g32", "head": "w4g32", "up": format_id, "down": format_id}
    first, second = (OnnxTarget().lower(tied(formats)) for _ in range(2))
    assert first.program == second.program


def test_lowering_leaves_the_model_as_it_was() -> None:
    model = tied("w4g32")
    before = simulated(model)
    first = OnnxTarget().lower(model)
    np.testing.assert_array_equal(simulated(model), before)
    assert OnnxTarget().lower(model).program == first.program


def test_a_float_model_is_lowered_as_it_is() -> None:
    torch.manual_seed(0)
    model = trace(Tied().eval(), (IDS,))
    lowered = OnnxTarget().lower(model)
    assert {row["format"] for row in lowered.layers} == {"f32"}
    np.testing.assert_allclose(logits(lowered), simulated(model), rtol=0, atol=1e-5)


def test_inputs_and_outputs_are_described() -> None:
    lowered = OnnxTarget().lower(tied("w4g32"))
    assert lowered.inputs == ({"name": "ids", "dtype": "int64", "shape": [1, 4]},)
    assert lowered.outputs == ({"name": "logits", "dtype": "float32", "shape": [1, 4, 40]},)


class Kept(nn.Module):
    """Rows that pass a test: how many they are is known only when they are computed."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layer(x)
        return y[y[:, 0] > 0]


def test_a_size_that_depends_on_the_numbers_is_null_or_a_name() -> None:
    lowered = OnnxTarget().lower(trace(Kept().eval(), (torch.randn(3, 4),)))
    first, second = lowered.outputs[0]["shape"]
    assert second == 4
    assert first is None or (isinstance(first, str) and first != "None")


def test_free_sizes_stay_free() -> None:
    torch.manual_seed(0)
    free = {"ids": {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}}
    model = trace(Tied().eval(), (IDS.repeat(2, 1),), free)
    for layer_id in ("up", "down"):
        model.packed[layer_id] = stored(model, layer_id, "w8a8d")
    simulate(model)
    lowered = OnnxTarget().lower(model)
    assert all(isinstance(size, str) for size in lowered.inputs[0]["shape"])
    ids = torch.tensor([[3], [5], [8]])
    y = open_program(lowered.program, 1).run({"ids": ids.numpy()})["logits"]
    expected = model.module(ids)["logits"].detach().numpy()
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (Compressed("w8a8"), "up: format w8a8 needs codes"),
        (
            Compressed("w8a8", weight=quantize(np.ones((96, COLS), np.float32), parse("w8a8"))),
            "up: format w8a8 needs the grid of its input",
        ),
        (
            Compressed(
                "w4g32a8", weight=quantize(np.ones((96, COLS), np.float32), parse("w4g32a8"))
            ),
            "up: format w4g32a8 needs the grid of its input",
        ),
        (Compressed("f16"), "up: format f16 but a weight is not a float16"),
    ],
)
def test_an_incomplete_layer_is_refused_by_name(packed: Compressed, message: str) -> None:
    model = tied("f32")
    model.packed["up"] = packed
    with pytest.raises(LoweringError, match=message):
        OnnxTarget().lower(model)


def test_a_format_that_a_layer_cannot_have_is_refused_by_name() -> None:
    model = tied("w4g32")
    model.packed["embed"] = replace(model.packed["embed"], format="w4g32a8")
    with pytest.raises(LoweringError, match="layer embed: format w4g32a8: an embedding reads"):
        OnnxTarget().lower(model)
