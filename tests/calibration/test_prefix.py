"""Mirrors calibration/prefix.py."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lamella.calibration import prefix
from lamella.calibration.prefix import Prefix
from lamella.frontend.model import Model


def recorded(model: Model, batches: list[dict[str, Tensor]]) -> Prefix:
    found = prefix.find(model.module, model.layers, lambda: model.module(**batches[0]))
    for batch in batches:
        with found.recording():
            model.module(**batch)
    return found


def test_a_layer_starts_after_the_blocks_before_it(
    decoder: Model, tokens: list[dict[str, Tensor]]
) -> None:
    found = prefix.find(decoder.module, decoder.layers, lambda: decoder.module(**tokens[0]))
    assert found.blocks == tuple(decoder.module.blocks)
    assert found.starts["embed"] == 0
    assert found.starts["blocks.2.down"] == 2
    assert found.starts["head"] == 3
    assert found.start([decoder.layer("head"), decoder.layer("embed")]) == 0
    assert found.start([decoder.layer("head")]) == 3


@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_skipping_changes_no_bit_and_runs_no_skipped_block(
    decoder: Model, tokens: list[dict[str, Tensor]], start: int
) -> None:
    found = recorded(decoder, tokens)
    whole = [decoder.module(**batch)["logits"] for batch in tokens]
    ran: list[int] = []
    for index, block in enumerate(decoder.module.blocks):
        block.gate.register_forward_hook(lambda *_, index=index: ran.append(index))
    for index, batch in enumerate(tokens):
        with found.skipping(start, index):
            assert decoder.module(**batch)["logits"].equal(whole[index])
    assert set(ran) == set(range(start, 3))


def test_a_change_is_seen_behind_the_skipped_blocks(
    decoder: Model, tokens: list[dict[str, Tensor]]
) -> None:
    found = recorded(decoder, tokens)
    decoder.module.get_parameter("blocks.1.down.weight").data.mul_(2)
    with found.skipping(1, 0):
        skipped = decoder.module(**tokens[0])["logits"]
    assert skipped.equal(decoder.module(**tokens[0])["logits"])


def test_forward_is_restored_after_an_error(
    decoder: Model, tokens: list[dict[str, Tensor]]
) -> None:
    found = recorded(decoder, tokens)
    with pytest.raises(ZeroDivisionError), found.skipping(2, 0):
        raise ZeroDivisionError
    assert not any("forward" in block.__dict__ for block in decoder.module.blocks)


def test_operations_in_place_do_not_reach_the_recordings() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 4))
    read = torch.randn(3, 4)
    found = Prefix(tuple(module), {}, [])
    with torch.inference_mode():
        with found.recording():
            whole = module(read)
        assert (found.outputs[0][0] < 0).any()
        for _ in range(2):
            with found.skipping(1, 0):
                assert module(read).equal(whole)


class Crossed(nn.Module):
    """Calls its blocks twice, or out of order."""

    def __init__(self, order: list[int]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(3, 3) for _ in range(2))
        self.order = order

    def forward(self, read: Tensor) -> Tensor:
        for index in self.order:
            read = self.blocks[index](read)
        return read


@pytest.mark.parametrize("order", [[1, 0], [0, 1, 0, 1], [0]])
def test_blocks_that_do_not_run_once_in_order_are_not_skipped(order: list[int]) -> None:
    module = Crossed(order)
    found = prefix.find(module, [], lambda: module(torch.zeros(1, 3)))
    assert found.blocks == ()


def test_recordings_that_take_too_much_memory_are_dropped(
    decoder: Model, tokens: list[dict[str, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefix, "LIMIT_BYTES", 100)
    found = recorded(decoder, tokens)
    assert (found.blocks, found.outputs) == ((), [])
    with found.skipping(found.start(decoder.layers[-1:]), 0):
        decoder.module(**tokens[0])
