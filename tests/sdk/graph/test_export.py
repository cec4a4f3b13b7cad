from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import onnx_ir
import pytest
import torch
import toys
from torch import nn

from lamella.errors import LoweringError
from lamella.frontend.model import Model
from lamella.frontend.trace import trace
from lamella.graph.calls import find_calls
from lamella.graph.evaluate import run, serialise
from lamella.graph.export import export_onnx
from lamella.graph.passes.label import LAYER, SCOPES, labelled

TOKENS: tuple[Callable[..., torch.Tensor], str, Any] = (toys.tokens, "input_ids", toys.FREE_TOKENS)
IMAGE: tuple[Callable[..., torch.Tensor], str, Any] = (toys.image, "image", toys.FREE_IMAGE)
FAMILIES = {
    "convnet": (toys.convnet, *IMAGE),
    "bert": (toys.bert, *TOKENS),
    "llama": (toys.llama, *TOKENS),
    "gpt2": (toys.gpt2, *TOKENS),
    "albert": (toys.albert, *TOKENS),
}


def export(model: Model) -> onnx_ir.Model:
    return export_onnx(
        model.module, model.args, model.kwargs, model.dynamic_shapes, list(model.by_id)
    )


@cache
def family(name: str) -> tuple[Model, onnx_ir.Model]:
    build, inputs, argument, free = FAMILIES[name]
    model = trace(build(), {argument: inputs()}, free, name=name)
    return model, export(model)


@pytest.fixture(params=FAMILIES)
def pair(request: pytest.FixtureRequest) -> tuple[Model, onnx_ir.Model]:
    return family(request.param)


def test_outputs_equal_those_of_torch_at_other_shapes(pair: tuple[Model, onnx_ir.Model]) -> None:
    model, exported = pair
    _, inputs, name, _ = FAMILIES[model.name]
    value = inputs(3, seed=1) if model.name == "convnet" else inputs(3, 14, seed=1)
    wanted = model.module(**{name: value})
    wanted = wanted if isinstance(wanted, torch.Tensor) else next(iter(wanted.values()))
    (found,) = run(exported, {name: value.numpy()}).values()
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-4, atol=1e-5)


def test_an_id_names_the_same_layer_in_module_program_and_onnx(
    pair: tuple[Model, onnx_ir.Model],
) -> None:
    model, exported = pair
    calls = Counter(call.layer for call in find_calls(model.program, model.by_id))
    nodes = labelled(exported)
    assert set(model.by_id) <= {name for name, _ in model.module.named_modules()}
    assert set(calls) == set(model.by_id)
    assert {layer: len(found) for layer, found in nodes.items()} == dict(calls)
    for layer, found in nodes.items():
        assert all(layer.split(".")[-1] in node.metadata_props[SCOPES] for node in found)


def test_the_weight_of_a_labelled_node_is_the_weight_of_the_layer(
    pair: tuple[Model, onnx_ir.Model],
) -> None:
    model, exported = pair
    for layer, nodes in labelled(exported).items():
        weight = model.module.get_parameter(f"{layer}.weight").numpy()
        for node in nodes:
            value = node.inputs[0 if node.op_type == "Gather" else 1]
            assert value is not None
            assert value.name in exported.graph.initializers
            assert value.const_value is not None
            stored = value.const_value.numpy()
            transposed = node.op_type == "MatMul"
            assert np.array_equal(stored.T if transposed else stored, weight), (layer, node.op_type)


def test_each_kind_of_layer_becomes_its_operator(pair: tuple[Model, onnx_ir.Model]) -> None:
    model, exported = pair
    allowed = {
        "linear": {"MatMul", "Gemm"},
        "conv2d": {"Conv"},
        "depthwise2d": {"Conv"},
        "embedding": {"Gather"},
    }
    for layer, nodes in labelled(exported).items():
        assert {node.op_type for node in nodes} <= allowed[model.layer(layer).kind]


@pytest.mark.parametrize("name", ["convnet", "llama"])
def test_equal_models_give_equal_bytes_and_no_path_lands_in_them(name: str) -> None:
    model, exported = family(name)
    first, second = serialise(exported), serialise(export(model))
    assert first == second
    for word in (b".py", b"site-packages", b"/usr", b"/home", b"/tmp", __file__.encode()):
        assert word not in first


def test_only_layer_ids_and_scopes_stay_in_the_metadata(pair: tuple[Model, onnx_ir.Model]) -> None:
    for node in pair[1].graph:
        assert set(node.metadata_props) <= {LAYER, SCOPES}
        assert not node.doc_string


def test_a_tied_head_is_a_view_of_the_embedding() -> None:
    nodes = labelled(family("llama")[1])
    tensors = []
    for layer, position in (("model.embed_tokens", 0), ("lm_head", 1)):
        value = nodes[layer][0].inputs[position]
        assert value is not None
        assert value.const_value is not None
        tensors.append(value.const_value.numpy())
    assert np.shares_memory(*tensors)


def test_normalisation_is_not_folded_into_weights() -> None:
    operators = Counter(node.op_type for node in family("convnet")[1].graph)
    assert operators["BatchNormalization"] == 2
    assert operators["Conv"] == 9


def test_a_table_of_positions_read_at_constant_places_stays_a_layer() -> None:
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(6, 4)
            self.mix = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.mix(x + self.table(torch.arange(6)))

    nodes = labelled(export(trace(Positions(), torch.randn(2, 6, 4))))
    assert [node.op_type for node in nodes["table"]] == ["Gather"]


class Pair(NamedTuple):
    left: torch.Tensor
    sum: torch.Tensor


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        (lambda x, y: x, ["output_0"]),
        (lambda x, y: (x, y), ["output_0", "output_1"]),
        (lambda x, y: [x, None, y], ["output_0", "output_2"]),
        (lambda x, y: {"logits": x, "state": y}, ["logits", "state"]),
        (lambda x, y: {"state": (x, y)}, ["state_0", "state_1"]),
        (lambda x, y: (x, {"state": y}), ["output_0", "output_1_state"]),
        (lambda x, y: Pair(x, y), ["left_output", "sum"]),
        (lambda x, y: {"relu": y, "linear": x}, ["relu", "linear"]),
        (lambda x, y: (y, y), ["output_0", "output_1"]),
    ],
)
def test_outputs_are_named_after_fields_or_numbered(
    shape: Callable[[torch.Tensor, torch.Tensor], Any], names: list[str]
) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 4)

        def forward(self, left: torch.Tensor, right: torch.Tensor) -> Any:
            x = self.first(left)
            return shape(x, torch.relu(x) + right)

    module = Two().eval()
    values = (torch.randn(2, 4), torch.randn(2, 4))
    exported = export_onnx(module, values[:1], {"right": values[1]}, None, ["first"])
    assert [value.name for value in exported.graph.inputs] == ["left", "right"]
    found = run(exported, {"left": values[0].numpy(), "right": values[1].numpy()})
    assert list(found) == names
    x = module.first(values[0])
    wanted = torch.utils._pytree.tree_leaves(shape(x, torch.relu(x) + values[1]))
    tensors = [leaf for leaf in wanted if leaf is not None]
    for value, leaf in zip(found.values(), tensors, strict=True):
        np.testing.assert_allclose(value, leaf.detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", ["classifier.inner", "blocks.0.norm", "blocks"])
def test_a_layer_that_is_not_in_the_graph_is_named(layer: str) -> None:
    with pytest.raises(LoweringError, match=f"layer {layer}: called 0 times"):
        export_onnx(toys.convnet(), (toys.image(),), {}, None, [layer])


def test_an_operator_without_onnx_form_is_named_with_its_place() -> None:
    class Spectrum(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.svd(super().forward(x))[1]

    lines, start = inspect.getsourcelines(Spectrum)
    line = start + next(at for at, text in enumerate(lines) if "svd" in text)
    module = nn.Sequential(nn.ReLU(), Spectrum(4, 4)).eval()
    with pytest.raises(LoweringError) as caught:
        export_onnx(module, (torch.randn(3, 4),), {}, None, ["1"])
    message = str(caught.value)
    assert "operator aten._linalg_svd.default in module '1'" in message
    assert f"{__file__}:{line}" in message
    assert "has no ONNX form" in message


def test_a_module_that_can_no_longer_be_captured_is_refused() -> None:
    module = toys.convnet()

    def branch(_: nn.Module, args: tuple[torch.Tensor]) -> None:
        if args[0].sum() > 0:
            raise ValueError

    module.get_submodule("classifier").register_forward_pre_hook(branch)
    with pytest.raises(LoweringError, match="cannot be captured any more"):
        export_onnx(module, (toys.image(),), {}, None, ["classifier"])
