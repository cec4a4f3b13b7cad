"""A small made-up transformer as a layer table, a target and losses with a known law."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import pytest
import torch

from lamella import formats
from lamella.frontend.layers import Kind, Layer
from lamella.frontend.model import Model
from lamella.targets.target import Capability, Lowered, Support

KERNELS = ("w4g32", "w8", "w8a8")
SIZE_ONLY = ("w3g32", "w6g32", "f16")


@dataclass(frozen=True)
class Row:
    layer: str
    format: str
    loss: float


@dataclass(frozen=True)
class Losses:
    """What the planner reads of a Sensitivity."""

    rows: tuple[Row, ...]


@dataclass(frozen=True)
class FakeTarget:
    """Stores KERNELS and SIZE_ONLY; embeddings cannot have int8 activations."""

    name: str = "fake"

    def capabilities(self) -> tuple[Capability, ...]:
        kinds: tuple[Kind, ...] = ("linear", "embedding", "conv2d")
        table: dict[str, Support] = dict.fromkeys(KERNELS, "kernel")
        table |= dict.fromkeys(SIZE_ONLY, "size only")
        return tuple(
            Capability(kind, formats.parse(name), support)
            for kind in kinds
            for name, support in table.items()
            if not (kind == "embedding" and name == "w8a8")
        )

    def adapt(self, model: Model) -> Model:
        raise NotImplementedError

    def lower(self, model: Model) -> Lowered:
        raise NotImplementedError


def layer(name: str, rows: int, cols: int, **changed: Any) -> Layer:
    """A linear layer whose example input has 16 rows."""
    fields: dict[str, Any] = {
        "id": name,
        "kind": "linear",
        "role": "mlp.up",
        "block": None,
        "rows": rows,
        "cols": cols,
        "weight_shape": (rows, cols),
        "has_bias": False,
        "parameters": rows * cols,
        "flops": 2 * 16 * rows * cols,
        "nbytes": 4 * rows * cols,
        "input_group": name,
    }
    return Layer(**(fields | changed))


@dataclass
class Node:
    op: str


@dataclass
class Graph:
    nodes: tuple[Node, ...] = ()


@dataclass
class Program:
    graph: Graph


@pytest.fixture
def make_layer() -> Callable[..., Layer]:
    return layer


@pytest.fixture
def make_model() -> Callable[..., Model]:
    """Returns a builder: layers, parameters outside of the table, operators of the graph."""

    def build(layers: tuple[Layer, ...], outside: int = 0, operators: int = 0) -> Model:
        inside = sum(
            (0 if row.tied_to else row.rows * row.cols) + (row.rows if row.has_bias else 0)
            for row in layers
        )
        module = torch.nn.Module()
        module.register_parameter("all", torch.nn.Parameter(torch.zeros(inside + outside)))
        program = Program(Graph((Node("placeholder"), *[Node("call_function")] * operators)))
        return Model(module, layers, (), {}, None, cast("Any", program), "fake")

    return build


@pytest.fixture
def layers() -> tuple[Layer, ...]:
    """Four blocks of attention and MLP between a token table and a head tied to it."""
    rows = [layer("embed", 500, 64, kind="embedding", role="embed", flops=0)]
    for block in range(4):
        inside = f"blocks.{block}"
        shared = {"block": block, "input_group": f"{inside}.norm"}
        rows.append(layer(f"{inside}.attn.q", 64, 64, role="attn.q", has_bias=True, **shared))
        rows.append(layer(f"{inside}.attn.k", 32, 64, role="attn.k", **shared))
        rows.append(layer(f"{inside}.mlp.up", 128, 64, role="mlp.up", block=block))
        rows.append(layer(f"{inside}.mlp.down", 64, 128, role="mlp.down", block=block))
    rows.append(layer("head", 500, 64, role="head", tied_to="embed", parameters=0, nbytes=0))
    return tuple(rows)


@pytest.fixture
def model(layers: tuple[Layer, ...], make_model: Callable[..., Model]) -> Model:
    return make_model(layers, outside=100, operators=20)


@pytest.fixture
def target() -> FakeTarget:
    return FakeTarget()


@pytest.fixture
def losses(layers: tuple[Layer, ...]) -> Losses:
    """A loss that falls by 4 with each bit; each layer has its own weight, the head most."""
    rows = []
    for index, row in enumerate(layers):
        weight = 3.0 if row.role in {"embed", "head"} else 0.1 + (index * 7 % 5)
        for name in (*KERNELS, *SIZE_ONLY):
            format = formats.parse(name)
            noise = 1.5 if format.activation == "static" else 1.0
            rows.append(Row(row.id, name, noise * weight * 4.0 ** (2 - format.bits)))
    return Losses(tuple(rows))
