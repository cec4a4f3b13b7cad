"""Mirrors targets/onnx/weight_only.py: packed operators against float64 on the decoded weights.

The bound is that of `parallel_layers.float_error`. With MatMulNBits at level 4 each input is in
addition off by at most half a step of its block, max|x| / 254.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from parallel_layers import Case, cases, compressed, exact, float_error, linears, random_input
from torch import nn

from lamella.formats import GROUPS, WEIGHT_BITS, parse
from lamella.targets.onnx.lower import OnnxTarget
from lamella.targets.onnx.runner import open_program

WEIGHT_ONLY = [
    *(f"w{bits}g{group}{zero}" for bits in WEIGHT_BITS for group in GROUPS for zero in ("", "z")),
    *("w8", "w4", "w2z"),
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


GATHERED = ["w4g16", "w4g32z", "w8g64", "w2g128z", "w3g32", "w3g16z", "w5g64z", "w6g32"]
EMBEDDINGS = [*GATHERED, "w8", "w5"]


def test_an_embedding_is_exact() -> None:
    ids = torch.tensor([[0, 3, 19, 3]])
    torch.manual_seed(6)
    model = compressed([nn.Embedding(20, 72) for _ in EMBEDDINGS], ids, EMBEDDINGS)
    results = open_program(OnnxTarget().lower(model).program, 1).run({"x": ids.numpy()})
    for y, layer in zip(results.values(), model.layers, strict=True):
        np.testing.assert_array_equal(y, model.packed[layer.id].weight.decode()[ids.numpy()])


def test_embeddings_with_groups_stay_packed() -> None:
    ids = torch.tensor([[0, 3]])
    model = compressed([nn.Embedding(20, 72) for _ in EMBEDDINGS], ids, EMBEDDINGS)
    rows = OnnxTarget().lower(model).layers
    packed = {row["format"]: row["operator"] == "GatherBlockQuantized" for row in rows}
    assert packed == {name: name in GATHERED for name in EMBEDDINGS}


@pytest.mark.parametrize("cols", [64, 83])
@pytest.mark.parametrize("format_id", ["w2g16", "w3g32", "w3g16z"])
def test_widening_costs_no_bytes_in_the_file(format_id: str, cols: int) -> None:
    x = random_input(2, cols)
    layers = [nn.Linear(cols, rows, bias=False) for rows in (24, 240)]
    few, many = OnnxTarget().lower(compressed(layers, x, [format_id] * 2)).layers
    assert few["operator"] == many["operator"] == "MatMulNBits"
    # Shapes, shifts and masks take some bytes, whatever the number of rows; the layers share most.
    added = many["nbytes"] - parse(format_id).nbytes(240, cols)
    assert 0 <= added <= few["nbytes"] - parse(format_id).nbytes(24, cols) < 300
