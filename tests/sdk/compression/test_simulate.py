"""Mirrors sdk/lamella/compression/simulate.py."""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from lamella import formats
from lamella.compression import simulate
from lamella.compression.simulate import InputHook
from lamella.frontend.model import ActivationGrid, Compressed, Model
from lamella.frontend.trace import trace


def by_onnxruntime(x: npt.NDArray[np.float32], grid: ActivationGrid) -> npt.NDArray[np.float32]:
    """Quantises and dequantises by the standard ONNX operators, without any fusion."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["codes"]),
        helper.make_node("DequantizeLinear", ["codes", "scale", "zero"], ["y"]),
    ]
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [grid.scale]),
        helper.make_tensor("zero", TensorProto.UINT8, [], [grid.zero]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy"]
    graph = helper.make_graph(nodes, "qdq", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    result: npt.NDArray[np.float32] = session.run(None, {"x": x})[0]
    return result


@pytest.mark.parametrize(
    "grid",
    [
        ActivationGrid(float(np.float32(0.0371)), 117),
        ActivationGrid(0.25, 0),
        ActivationGrid(float(np.float32(1 / 3)), 255),
    ],
)
def test_a_static_grid_gives_the_bits_of_onnxruntime(grid: ActivationGrid) -> None:
    rng = np.random.default_rng(0)
    steps = np.arange(-300, 300)
    ties = ((steps + 0.5) * np.float64(grid.scale)).astype(np.float32)
    edges = np.array([0, -0.0, 1e-45, -1e-45, 3e38, -3e38, np.inf, -np.inf], np.float32)
    spread = (rng.normal(size=50_000) * 40 * grid.scale).astype(np.float32)
    x = np.concatenate([ties, np.nextafter(ties, 0), edges, spread])
    found = InputHook(grid)(nn.Identity(), (torch.from_numpy(x),), {})[0][0].numpy()
    np.testing.assert_array_equal(found.view(np.uint32), by_onnxruntime(x, grid).view(np.uint32))


def test_a_dynamic_grid_rounds_every_token_onto_its_own_127_steps() -> None:
    x = torch.randn(3, 5, 16) * torch.logspace(-3, 3, 5)[:, None]
    x[0, 0] = 0
    found = InputHook(None)(nn.Identity(), (x,), {})[0][0]
    scale = x.abs().amax(dim=2, keepdim=True) / 127
    assert torch.equal(found[0, 0], torch.zeros(16))
    assert bool(((found - x).abs() <= scale * 0.5001).all())
    codes = (found / scale.where(scale > 0, 1.0)).round()
    assert codes.abs().max() == 127
    torch.testing.assert_close(codes * scale, found)


class Named(nn.Module):
    """Calls its layer with a keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.table = nn.Embedding(3, 4)

    def forward(self, x: Tensor, ids: Tensor) -> Tensor:
        result: Tensor = self.layer(input=x + self.table(ids))
        return result


@pytest.fixture
def simulated() -> Model:
    torch.manual_seed(0)
    model = trace(Named(), (torch.randn(2, 4), torch.tensor([0, 2])))
    values = np.zeros((4, 4), np.float32)
    packed = Compressed("w8a8", values=values, input=ActivationGrid(0.125, 100))
    model.packed = {"layer": packed, "table": packed}
    simulate.attach(model, dict.fromkeys(("layer", "table"), formats.parse("w8a8")))
    return model


def test_inputs_are_rounded_where_layers_ask_for_it(simulated: Model) -> None:
    plain = simulate.bare(simulated)
    x, ids = simulated.args
    read = (torch.round((x + plain.table(ids)) / 0.125) + 100).clamp(0, 255).sub(100) * 0.125
    assert torch.equal(simulated.module(x, ids), plain.layer(read))
    assert not simulated.module.table._forward_pre_hooks


def test_copies_keep_the_simulation(simulated: Model) -> None:
    twin = copy.deepcopy(simulated.module)
    assert torch.equal(twin(*simulated.args), simulated.module(*simulated.args))
    twin.layer._forward_pre_hooks.clear()
    assert not torch.equal(twin(*simulated.args), simulated.module(*simulated.args))


def test_the_simulation_can_be_exported(simulated: Model) -> None:
    exported = torch.export.export(simulated.module, simulated.args, strict=False).module()
    assert torch.equal(exported(*simulated.args), simulated.module(*simulated.args))


def test_the_bare_module_shares_weights_and_keeps_foreign_hooks(simulated: Model) -> None:
    seen: list[int] = []
    simulated.module.layer.register_forward_hook(lambda *_: seen.append(1))
    plain = simulate.bare(simulated)
    assert plain.layer.weight is simulated.module.layer.weight
    x, ids = simulated.args
    expected = torch.nn.functional.linear(
        x + plain.table.weight[ids], plain.layer.weight, plain.layer.bias
    )
    assert torch.equal(plain(x, ids), expected)
    assert seen == [1]
    hooks = simulated.module.layer._forward_pre_hooks.values()
    assert any(isinstance(hook, InputHook) for hook in hooks)
