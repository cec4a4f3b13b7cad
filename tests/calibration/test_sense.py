"""Mirrors calibration/sense.py and calibration/probe.py."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax
from torch import Tensor, nn

from lamella import grids
from lamella.calibration import activations, nearest, prefix
from lamella.calibration import sense as module
from lamella.calibration.calibrate import calibrate
from lamella.calibration.prefix import Prefix
from lamella.calibration.sense import sense
from lamella.calibration.stats import Statistics
from lamella.errors import CalibrationError
from lamella.formats import Format, parse
from lamella.frontend.layers import Layer
from lamella.frontend.model import Model
from lamella.frontend.trace import trace
from lamella.grids import Quantized, Real

Tokens = list[dict[str, Tensor]]


def formats(*names: str) -> list[Format]:
    return [parse(name) for name in names]


def rounded(model: Model, layer: str, format: Format, stats: Statistics) -> Real:
    """Rounds to nearest; a column weighs what its input does, read by the head for a tied one."""
    weight = model.weight(model.layer(layer))
    moment = stats.moment("head" if layer == "embed" else layer)
    importance = moment[0].diagonal() if len(moment) == 1 else None
    return grids.quantize(weight, format, search=True, importance=importance).decode()


def copied(model: Model) -> Model:
    return replace(model, module=copy.deepcopy(model.module))


def divergence(left: list[Tensor], right: list[Tensor], tokens: Tokens) -> float:
    masks = [batch["attention_mask"].bool() for batch in tokens]
    kept = [
        np.concatenate(
            [each[mask].double().numpy() for each, mask in zip(side, masks, strict=True)]
        )
        for side in (left, right)
    ]
    return float(rel_entr(*(softmax(rows, -1) for rows in kept)).sum(-1).mean())


def logits(model: nn.Module, tokens: Tokens) -> list[Tensor]:
    with torch.inference_mode():
        return [model(**batch)["logits"] for batch in tokens]


@pytest.mark.parametrize("layer", ["blocks.0.up", "blocks.2.down", "embed"])
def test_the_loss_is_the_divergence_of_a_model_with_that_one_weight_changed(
    decoder: Model, tokens: Tokens, layer: str
) -> None:
    stats = calibrate(decoder, tokens)
    found = sense(decoder, stats, formats("w3g16"), tokens[:2])
    other = copied(decoder)
    other.set_weight(other.layer(layer), rounded(decoder, layer, parse("w3g16"), stats))
    expected = divergence(
        logits(decoder.module, tokens[:2]), logits(other.module, tokens[:2]), tokens[:2]
    )
    assert found.metric == "kl"
    assert found.loss(layer, "w3g16") == pytest.approx(expected, rel=1e-3)


def test_a_tied_weight_has_one_row_and_changes_both_uses(decoder: Model, tokens: Tokens) -> None:
    assert decoder.layer("head").tied_to == "embed"
    stats = calibrate(decoder, tokens)
    found = sense(decoder, stats, formats("w3g16"), tokens[:1])
    assert "head" not in {row.layer for row in found.rows}
    only_embed = copy.deepcopy(decoder.module)
    only_embed.head.weight = nn.Parameter(only_embed.embed.weight.detach().clone())
    values = torch.from_numpy(rounded(decoder, "embed", parse("w3g16"), stats))
    only_embed.embed.weight.data = values
    lonely = divergence(
        logits(decoder.module, tokens[:1]), logits(only_embed, tokens[:1]), tokens[:1]
    )
    assert found.loss("embed", "w3g16") != pytest.approx(lonely, rel=0.01)


def test_the_proxy_and_the_noise_of_a_layer_are_those_of_its_output(
    decoder: Model, tokens: Tokens
) -> None:
    stats = calibrate(decoder, tokens)
    found = sense(decoder, stats, formats("w4g16"), tokens)
    row = next(row for row in found.rows if row.layer == "blocks.1.down")
    read: list[Tensor] = []
    handle = decoder.module.blocks[1].down.register_forward_hook(
        lambda _, args, output: read.append(args[0])
    )
    logits(decoder.module, tokens)
    handle.remove()
    rows = np.concatenate(
        [x[b["attention_mask"].bool()].double().numpy() for x, b in zip(read, tokens, strict=True)]
    )
    weight = decoder.weight(decoder.layer("blocks.1.down")).astype(np.float64)
    change = rounded(decoder, "blocks.1.down", parse("w4g16"), stats) - weight
    bias = decoder.module.blocks[1].down.bias.detach().double().numpy()
    error = ((rows @ change.T) ** 2).sum()
    assert row.proxy == pytest.approx(error / ((rows @ weight.T) ** 2).sum(), rel=1e-3)
    energy = ((rows @ weight.T + bias) ** 2).sum()
    assert row.sqnr_db == pytest.approx(10 * np.log10(energy / error), abs=0.01)


@pytest.mark.parametrize("name", ["w8a8", "w8a8d"])
def test_integer_activations_are_simulated_at_the_input(
    decoder: Model, tokens: Tokens, name: str
) -> None:
    stats = calibrate(decoder, tokens)
    found = sense(decoder, stats, formats(name, "w8"), tokens[:2])
    other = copied(decoder)
    layer = other.layer("blocks.1.gate")
    other.set_weight(layer, rounded(decoder, layer.id, parse(name), stats))
    grid = activations.static_grid(*stats.input(layer).mse_range())

    def simulate(_: nn.Module, args: tuple[Tensor]) -> Tensor:
        if name == "w8a8":
            return activations.static(args[0], grid)
        return activations.dynamic(args[0])

    other.module.blocks[1].gate.register_forward_pre_hook(simulate)
    expected = divergence(
        logits(decoder.module, tokens[:2]), logits(other.module, tokens[:2]), tokens[:2]
    )
    assert found.loss(layer.id, name) == pytest.approx(expected, rel=1e-2)
    assert found.loss(layer.id, name) != pytest.approx(found.loss(layer.id, "w8"), rel=1e-2)


def test_skipping_blocks_gives_the_result_of_the_plain_path(
    decoder: Model, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    stats = calibrate(decoder, tokens)
    starts: list[int] = []
    real = Prefix.start
    monkeypatch.setattr(Prefix, "start", lambda *args: (starts.append(real(*args)), starts[-1])[1])
    fast = sense(decoder, stats, formats("w4g16", "w8a8"), tokens[:2])
    assert max(starts) == 2
    monkeypatch.setattr(prefix, "find", lambda *_: Prefix())
    assert sense(decoder, stats, formats("w4g16", "w8a8"), tokens[:2]) == fast


class Counting(nn.Module):
    """A list of blocks whose later ones depend on a side effect of the earlier ones."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Remembering() for _ in range(3))
        self.head = nn.Linear(4, 3)

    def forward(self, read: Tensor) -> Tensor:
        memory: list[Tensor] = []
        for block in self.blocks:
            read = block(read, memory)
        return self.head(read)


class Remembering(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(4, 4)

    def forward(self, read: Tensor, memory: list[Tensor]) -> Tensor:
        memory.append(self.mix(read))
        return torch.stack(memory).sum(0)


def test_blocks_with_side_effects_are_not_skipped() -> None:
    torch.manual_seed(0)
    batches = [torch.randn(5, 4)]
    model = trace(Counting(), batches[0])
    stats = calibrate(model, batches)
    found = sense(model, stats, formats("w4"), batches)
    other = copy.deepcopy(model.module)
    values = rounded(model, "blocks.2.mix", parse("w4"), stats)
    other.blocks[2].mix.weight.data = torch.from_numpy(values)
    with torch.inference_mode():
        probabilities = [softmax(m(batches[0]).double().numpy(), -1) for m in (model.module, other)]
    expected = rel_entr(*probabilities).sum(-1).mean()
    assert found.loss("blocks.2.mix", "w4") == pytest.approx(expected, rel=1e-3)


def test_the_layer_with_outlier_columns_is_the_most_sensitive(
    decoder: Model, tokens: Tokens
) -> None:
    before = sense(decoder, calibrate(decoder, tokens), formats("w3"), tokens)
    # One factor moves from the rows of a layer into the columns of the next: the function stays,
    # but the scales of the next layer now follow two columns and leave few codes for the others.
    with torch.no_grad():
        for name, factor in (("weight", 1 / 40), ("bias", 1 / 40)):
            decoder.module.get_parameter(f"blocks.0.up.{name}")[[3, 20]] *= factor
        decoder.module.get_parameter("blocks.0.down.weight")[:, [3, 20]] *= 40
    after = sense(decoder, calibrate(decoder, tokens), formats("w3"), tokens)
    inner = [row for row in after.rows if row.layer != "embed"]
    assert max(inner, key=lambda row: row.loss).layer == "blocks.0.down"
    assert max(inner, key=lambda row: row.proxy).layer == "blocks.0.down"
    assert after.loss("blocks.0.down", "w3") > 5 * before.loss("blocks.0.down", "w3")


def test_relative_error_is_used_where_there_is_no_head(
    network: Model, images: list[Tensor]
) -> None:
    stats = calibrate(network, images)
    found = sense(network, stats, formats("w4"), images[:2], metric="relative")
    other = copied(network)
    other.set_weight(other.layer("depth"), rounded(network, "depth", parse("w4"), stats))
    with torch.inference_mode():
        truth = torch.cat([network.module(image) for image in images[:2]])
        changed = torch.cat([other.module(image) for image in images[:2]])
    expected = float(((changed - truth) ** 2).sum() / (truth**2).sum())
    assert found.metric == "relative"
    assert found.loss("depth", "w4") == pytest.approx(expected, rel=1e-4)


def test_a_lossless_format_loses_nothing(decoder: Model, tokens: Tokens) -> None:
    found = sense(decoder, calibrate(decoder, tokens), formats("f32", "w8"), tokens[:1])
    for row in found.rows:
        if row.format == "f32":
            assert (row.loss, row.proxy, row.sqnr_db) == (0.0, 0.0, 200.0)
        else:
            assert row.loss > 0
            assert row.sqnr_db < 100


def test_the_callers_encoder_gets_layer_weight_format_and_moment(
    decoder: Model, tokens: Tokens
) -> None:
    stats = calibrate(decoder, tokens)
    seen: dict[str, tuple[int, ...]] = {}

    def encode(layer: Layer, weight: Real, format: Format, moment: Real | None) -> Quantized:
        assert weight.shape == (layer.rows, layer.cols)
        seen[layer.id] = () if moment is None else moment.shape
        return grids.quantize(np.zeros_like(weight), format)

    found = sense(decoder, stats, formats("w4"), tokens[:1], encode=encode)
    # The owner of a tied weight is asked with the moment of the head.
    assert seen["embed"] == (1, 16, 16)
    assert seen["blocks.0.down"] == (1, 32, 32)
    assert all(row.proxy >= 0.999 for row in found.rows)


def test_a_killed_run_goes_on_and_gives_the_same(
    decoder: Model, tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stats = calibrate(decoder, tokens)
    whole = sense(decoder, stats, formats("w4", "w8"), tokens, journal=tmp_path / "whole")
    calls: list[str] = []
    real = nearest.encode

    def encode(layer: Layer, weight: Real, format: Format, moment: Real | None) -> Quantized:
        calls.append(layer.id)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return real(layer, weight, format, moment)

    encode.__qualname__, encode.__module__ = real.__qualname__, real.__module__
    before = copy.deepcopy(decoder.module.state_dict())
    with pytest.raises(KeyboardInterrupt):
        sense(decoder, stats, formats("w4", "w8"), tokens, encode=encode, journal=tmp_path / "part")
    assert all(v.equal(before[k]) for k, v in decoder.module.state_dict().items())
    calls.extend("x" * 9)
    resumed = sense(
        decoder, stats, formats("w4", "w8"), tokens, encode=encode, journal=tmp_path / "part"
    )
    assert resumed == whole
    assert len(calls) == 8 + 9 + len(whole.rows) - 7
    assert (tmp_path / "part").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_finished_journal_needs_no_run(
    decoder: Model, tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stats = calibrate(decoder, tokens)
    first = sense(decoder, stats, formats("w4"), tokens, journal=tmp_path / "j")
    monkeypatch.setattr(module, "_record", lambda _: pytest.fail("the model was run"))
    assert sense(decoder, stats, formats("w4"), tokens, journal=tmp_path / "j") == first


def test_an_error_in_the_middle_leaves_weights_hooks_and_modes(
    decoder: Model, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    stats = calibrate(decoder, tokens)
    parameters = dict(decoder.module.named_parameters())
    before = copy.deepcopy(decoder.module.state_dict())
    decoder.module.train()

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(module.Distance, "add", fail)
    with pytest.raises(ZeroDivisionError):
        sense(decoder, stats, formats("w2"), tokens)
    assert all(v.equal(before[k]) for k, v in decoder.module.state_dict().items())
    assert all(p is parameters[name] for name, p in decoder.module.named_parameters())
    for part in decoder.module.modules():
        assert not part._forward_hooks
        assert not part._forward_pre_hooks
        assert "forward" not in part.__dict__
        assert part.training


def test_what_cannot_be_measured_is_refused(
    decoder: Model, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    stats = calibrate(decoder, tokens, ("moments",))
    with pytest.raises(CalibrationError, match="no formats to try"):
        sense(decoder, stats, [], tokens)
    with pytest.raises(CalibrationError, match="no batches to measure"):
        sense(decoder, stats, formats("w4"), [])
    with pytest.raises(CalibrationError, match="not asked for 'ranges'"):
        sense(decoder, stats, formats("w8a8"), tokens)
    monkeypatch.setattr(module, "LIMIT_BYTES", 5000)
    with pytest.raises(CalibrationError, match="outputs of batches 0 to 2 take"):
        sense(decoder, stats, formats("w4"), tokens)


@pytest.mark.parametrize("name", ["w8a8", "w8a8d"])
def test_integer_activations_of_a_convolution_have_one_grid_or_one_per_image(
    network: Model, images: list[Tensor], name: str
) -> None:
    stats = calibrate(network, images)
    found = sense(network, stats, formats(name), images[:1], metric="relative")
    other = copied(network)
    other.set_weight(other.layer("pair"), rounded(network, "pair", parse(name), stats))
    grid = activations.static_grid(*stats.input("pair").mse_range())

    def simulate(_: nn.Module, args: tuple[Tensor]) -> Tensor:
        if name == "w8a8":
            return activations.static(args[0], grid)
        return torch.cat([activations.dynamic(image[None], (1, 2, 3)) for image in args[0]])

    other.module.pair.register_forward_pre_hook(simulate)
    with torch.inference_mode():
        truth, changed = network.module(images[0]), other.module(images[0])
    expected = float(((changed - truth) ** 2).sum() / (truth**2).sum())
    assert found.loss("pair", name) == pytest.approx(expected, rel=1e-4)


def test_each_layer_can_have_formats_of_its_own(decoder: Model, tokens: Tokens) -> None:
    stats = calibrate(decoder, tokens)
    options = {
        "blocks.1.up": formats("w4", "w8", "w4"),
        "embed": formats("w3g16"),
        "blocks.0.up": [],
    }
    found = sense(decoder, stats, options, tokens[:1])
    pairs = [(row.layer, row.format) for row in found.rows]
    # The order is that of the layer table, whatever the order of the mapping.
    assert pairs == [("embed", "w3g16"), ("blocks.1.up", "w4"), ("blocks.1.up", "w8")]
    everywhere = sense(decoder, stats, formats("w4"), tokens[:1])
    assert found.loss("blocks.1.up", "w4") == everywhere.loss("blocks.1.up", "w4")


@pytest.mark.parametrize("name", ["head", "blocks.9.up"])
def test_options_for_a_tied_or_unknown_layer_are_refused(
    decoder: Model, tokens: Tokens, name: str
) -> None:
    options = {"embed": formats("w4"), name: formats("w4")}
    with pytest.raises(CalibrationError, match=f"options for '{name}', which is no layer with"):
        sense(decoder, calibrate(decoder, tokens), options, tokens[:1])
