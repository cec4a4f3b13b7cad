"""Mirrors sdk/lamella/compression/compress.py and one_layer.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lamella.calibration.calibrate import calibrate
from lamella.calibration.stats import Statistics
from lamella.compression import one_layer
from lamella.compression.compress import compress
from lamella.compression.simulate import bare
from lamella.compression.transform.equalize import equalize, imbalance
from lamella.errors import CalibrationError, CompressionError, PlanError
from lamella.frontend.model import Model
from lamella.frontend.trace import trace
from lamella.planner.spec import Choice, Plan, Settings


class Net(nn.Module):
    """A small network with every kind of layer and a tied head."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(24, 32)
        self.up = nn.Linear(32, 64)
        self.down = nn.Linear(64, 32, bias=False)
        self.conv = nn.Conv1d(32, 32, 3, padding=1)
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.head = nn.Linear(32, 24, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        x = x + self.down(self.up(x).relu())
        x = self.conv(x.transpose(1, 2)).relu()
        x = self.depthwise(x.unsqueeze(2)).squeeze(2).relu()
        result: Tensor = self.head(x.transpose(1, 2))
        return result


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    return trace(Net(), torch.randint(24, (2, 10)))


@pytest.fixture(scope="module")
def stats(model: Model) -> Statistics:
    generator = torch.Generator().manual_seed(1)
    batches = [torch.randint(24, (4, 10), generator=generator) for _ in range(12)]
    return calibrate(model, batches)


def plan(model: Model, default: str, settings: Settings | None = None, **formats: str) -> Plan:
    choices = (Choice(layer.id, formats.get(layer.id, default)) for layer in model.layers)
    return Plan(choices=tuple(choices), settings=settings or Settings())


def state(model: Model) -> Iterator[tuple[str, Any]]:
    """Yields every number of a compressed model, as bytes."""
    for name, tensor in model.module.state_dict().items():
        yield name, tensor.numpy().tobytes()
    for name, packed in model.packed.items():
        yield name, (packed.format, packed.input, packed.loss)
        if packed.weight is not None:
            grid, mask = packed.weight.grid, packed.weight.mask
            yield name, (packed.weight.codes.tobytes(), grid.scale.tobytes(), grid.zero.tobytes())
            yield name, None if mask is None else mask.tobytes()


MIXED = {
    "up": "w4g32@2:4",
    "down": "w3g16z",
    "conv": "w8a8",
    "depthwise": "w8a8",
    "embed": "w4g32",
    "head": "w4g32",
}


def test_every_layer_is_packed_and_the_module_holds_the_decoded_weights(
    model: Model, stats: Statistics
) -> None:
    before = [tensor.clone() for tensor in model.module.parameters()]
    result = compress(model, plan(model, "f16", **MIXED), stats)
    assert list(result.packed) == [layer.id for layer in model.layers]
    for layer in result.layers:
        packed = result.packed[layer.id]
        assert packed.format == MIXED[layer.id]
        assert packed.weight is not None
        np.testing.assert_array_equal(result.weight(layer), packed.weight.decode())
        assert 0 < packed.loss < 0.3
    assert type(result.module) is type(model.module)
    assert model.packed == {}
    assert all(torch.equal(*pair) for pair in zip(before, model.module.parameters(), strict=True))


def test_float_layers_get_values(model: Model, stats: Statistics) -> None:
    result = compress(model, plan(model, "f32", down="f16", up="f16@2:4"), stats)
    for name in ("conv", "down", "up"):
        packed, layer = result.packed[name], model.layer(name)
        assert packed.weight is None
        assert packed.values is not None
        np.testing.assert_array_equal(result.weight(layer), packed.values)
    np.testing.assert_array_equal(result.packed["conv"].values, model.weight(model.layer("conv")))
    half = result.packed["down"].values
    assert half is not None
    np.testing.assert_array_equal(half, model.weight(model.layer("down")).astype(np.float16))
    pruned = result.packed["up"].values
    assert pruned is not None
    assert ((pruned.reshape(64, -1, 4) != 0).sum(axis=2) == 2).all()
    same = compress(model, plan(model, "f32"), stats)
    assert torch.equal(same.module(*model.args), model.module(*model.args))


def test_a_tied_weight_is_solved_once_for_the_layer_that_multiplies(
    model: Model, stats: Statistics
) -> None:
    result = compress(model, plan(model, "f32", embed="w3g32", head="w3g32"), stats)
    assert result.packed["head"] is result.packed["embed"]
    assert result.module.head.weight is result.module.embed.weight
    weight = result.packed["head"].weight
    assert weight is not None
    change = model.weight(model.layer("head")).astype(np.float64) - weight.decode()
    moment = stats.moment("head")[0].astype(np.float64)
    original = model.weight(model.layer("head")).astype(np.float64)
    expected = np.trace(change @ moment @ change.T) / np.trace(original @ moment @ original.T)
    assert result.packed["head"].loss == pytest.approx(expected, rel=1e-6)


def test_the_loss_is_the_relative_error_of_the_layers_output(
    model: Model, stats: Statistics
) -> None:
    settings = Settings(bias_correction=False)
    result = compress(model, plan(model, "f32", settings, down="w2g16z"), stats)
    seen: list[Tensor] = []
    handle = model.module.down.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    generator = torch.Generator().manual_seed(1)
    for _ in range(12):
        model.module(torch.randint(24, (4, 10), generator=generator))
    handle.remove()
    read = torch.cat(seen).double()
    old, new = (part.module.down.weight.double() for part in (model, result))
    error = (read @ (old - new).T).square().sum() / (read @ old.T).square().sum()
    assert result.packed["down"].loss == pytest.approx(float(error), rel=1e-4)


def test_activations_are_rounded_with_grids_of_the_calibration(
    model: Model, stats: Statistics
) -> None:
    settings = Settings(activation_range="minmax")
    result = compress(model, plan(model, "f32", settings, conv="w8a8", up="w8a8d"), stats)
    conv, up = result.packed["conv"], result.packed["up"]
    assert conv.input is not None
    low, high = stats.input("conv").low, stats.input("conv").high
    assert conv.input.scale == pytest.approx((high - low) / 255)
    assert up.input is None
    plain = bare(result)
    assert not torch.equal(plain(*model.args), result.module(*model.args))
    torch.testing.assert_close(result.module(*model.args), plain(*model.args), rtol=0.1, atol=0.05)


def test_bias_correction_restores_the_mean_output(model: Model, stats: Statistics) -> None:
    change = {}
    for on in (False, True):
        settings = Settings(bias_correction=on, solver="rtn")
        result = compress(model, plan(model, "f32", settings, up="w2g16z"), stats)
        mean = torch.from_numpy(stats.input("up").mean).double()
        old, new = (part.module.up for part in (model, result))
        outputs = (p.weight.double() @ mean + p.bias.double() for p in (old, new))
        change[on] = float((next(outputs) - next(outputs)).abs().max())
    assert change[False] > 1e-3
    assert change[True] < 1e-6


@pytest.mark.parametrize("solver", ["rtn", "gptq"])
@pytest.mark.parametrize("pruner", ["wanda", "magnitude"])
def test_each_solver_and_mask_rule_gives_the_pattern_asked_for(
    model: Model, stats: Statistics, solver: Any, pruner: Any
) -> None:
    settings = Settings(solver=solver, pruner=pruner)
    formats = {"up": "w8@50", "conv": "w4g32@2:4", "embed": "w4g16@50", "head": "w4g16@50"}
    result = compress(model, plan(model, "f32", settings, **formats), stats)
    for name in formats:
        weight = result.packed[name].weight
        assert weight is not None
        assert weight.mask is not None
        assert weight.mask.mean() == 0.5
        assert (weight.decode()[~weight.mask] == 0).all()
    conv = result.packed["conv"].weight
    assert conv is not None
    assert conv.mask is not None
    assert (conv.mask.reshape(32, -1, 4).sum(axis=2) == 2).all()


def test_gptq_is_no_worse_than_rounding_on_any_layer(model: Model, stats: Statistics) -> None:
    losses = {
        solver: compress(model, plan(model, "w3g32z", Settings(solver=solver)), stats).packed
        for solver in ("rtn", "gptq")
    }
    for layer in model.layers:
        assert losses["gptq"][layer.id].loss <= losses["rtn"][layer.id].loss * (1 + 1e-9)
    assert losses["gptq"]["down"].loss < 0.8 * losses["rtn"]["down"].loss


def test_rounding_needs_no_statistics(model: Model) -> None:
    empty = calibrate(model, [torch.zeros(1, 4, dtype=torch.long)], needs=("ranges",))
    settings = Settings(solver="rtn", bias_correction=False)
    result = compress(model, plan(model, "w8", settings), empty)
    assert result.packed["up"].loss < 1e-3
    with pytest.raises(CalibrationError, match="layer head has no moment"):
        compress(model, plan(model, "w8", Settings(bias_correction=False)), empty)


def test_a_resumed_run_gives_the_same_bytes(
    model: Model, stats: Statistics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = plan(model, "f16", **MIXED)
    whole = list(state(compress(model, chosen, stats)))
    solve, calls = one_layer._solve, 0

    def killed(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return solve(*given)

    monkeypatch.setattr(one_layer, "_solve", killed)
    with pytest.raises(KeyboardInterrupt):
        compress(model, chosen, stats, journal=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    assert list(state(compress(model, chosen, stats, journal=tmp_path))) == whole
    assert calls == 3 + 3
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for name in sorted(files)[::2]:
        (tmp_path / name).unlink()
    assert list(state(compress(model, chosen, stats, journal=tmp_path))) == whole
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_the_journal_is_not_used_for_other_settings_or_weights(
    model: Model, stats: Statistics, tmp_path: Path
) -> None:
    compress(model, plan(model, "w4g32"), stats, journal=tmp_path)
    count = len(list(tmp_path.iterdir()))
    compress(model, plan(model, "w4g32", replace(Settings(), damping=0.5)), stats, journal=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2 * count
    changed = replace(model, module=bare(model))
    changed.module.up.weight = nn.Parameter(model.module.up.weight * 2)
    compress(changed, plan(model, "w4g32"), stats, journal=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2 * count + 1


def test_plans_that_do_not_fit_the_model_are_refused(model: Model, stats: Statistics) -> None:
    whole = plan(model, "f16")
    longer = replace(whole, choices=(*whole.choices, Choice("nowhere", "w8")))
    with pytest.raises(PlanError, match="no layer 'nowhere'"):
        compress(model, longer, stats)
    shorter = replace(whole, choices=whole.choices[:-1])
    with pytest.raises(PlanError, match="says nothing about the layer 'head'"):
        compress(model, shorter, stats)


def test_a_plan_for_an_equalised_model_refuses_one_that_is_not() -> None:
    torch.manual_seed(0)
    uneven = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    uneven[0].weight.data *= torch.logspace(-1, 1, 8)[:, None]
    raw = trace(uneven, torch.randn(2, 8))
    batches = [torch.randn(64, 8)]
    settings = Settings(equalize=True)
    with pytest.raises(CompressionError, match="apply equalize to it before calibration"):
        compress(raw, plan(raw, "w8", settings), calibrate(raw, batches))
    even = equalize(raw)
    assert imbalance(raw) > 1 > 0.01 > imbalance(even)
    assert compress(even, plan(even, "w8", settings), calibrate(even, batches)).packed


@pytest.mark.parametrize(
    ("formats", "message"),
    [
        ({"depthwise": "w8@2:4"}, "layer depthwise: 9 inputs do not split into groups of 4"),
        ({"conv": "w8a8d"}, "layer conv: w8a8d rounds activations token by token"),
        ({"embed": "w8", "head": "w4"}, "layer head shares its weight with embed"),
    ],
)
def test_formats_that_are_impossible_for_a_layer_are_refused_by_name(
    model: Model, stats: Statistics, formats: dict[str, str], message: str
) -> None:
    with pytest.raises(CompressionError, match=message):
        compress(model, plan(model, "f32", **formats), stats)


def test_an_embedding_alone_has_no_activations() -> None:
    lone = trace(nn.Sequential(nn.Embedding(8, 16), nn.Linear(16, 4)), torch.tensor([1, 2]))
    counted = calibrate(lone, [torch.tensor([1, 2, 3])])
    with pytest.raises(CompressionError, match="layer 0: an embedding"):
        compress(lone, plan(lone, "w8a8"), counted)
    result = compress(lone, plan(lone, "w8"), counted)
    assert 0 < result.packed["0"].loss < 1e-3


@pytest.mark.parametrize("format", ["w4g32", "f16", "f32"])
def test_nan_in_a_weight_names_the_layer(model: Model, stats: Statistics, format: str) -> None:
    broken = replace(model, module=bare(model))
    weight = model.module.down.weight.clone()
    weight[0, 0] = float("nan")
    broken.module.down.weight = nn.Parameter(weight)
    with pytest.raises(CompressionError, match="layer down: 1 of its 2048 weights"):
        compress(broken, plan(model, format), stats)
