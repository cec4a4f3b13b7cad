from __future__ import annotations

import pytest
from torch import nn

from lamella.frontend.blocks import block_indices, block_of, role
from lamella.frontend.layers import Kind


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ("encoder.layer.3.attention.self.query", "attn.q"),
        ("transformer.layer.0.attention.q_lin", "attn.q"),
        ("encoder.block.1.layer.0.SelfAttention.k", "attn.k"),
        ("model.layers.0.self_attn.v_proj", "attn.v"),
        ("h.0.attn.c_attn", "attn.qkv"),
        ("transformer.h.1.self_attention.query_key_value", "attn.qkv"),
        ("model.layers.0.self_attn.qkv_proj", "attn.qkv"),
        ("encoder.layer.3.attention.output.dense", "attn.o"),
        ("transformer.h.1.self_attention.dense", "attn.o"),
        ("h.0.attn.c_proj", "attn.o"),
        ("model.layers.0.self_attn.o_proj", "attn.o"),
        ("encoder.layer.2.attention.attn.o", "attn.o"),
        ("transformer.layer.0.attention.out_lin", "attn.o"),
        ("blocks.0.attn.proj", "attn.o"),
        ("model.layers.0.mlp.gate_proj", "mlp.gate"),
        ("encoder.block.1.layer.1.DenseReluDense.wi_0", "mlp.gate"),
        ("model.layers.0.mlp.gate_up_proj", "mlp.gate_up"),
        ("model.layers.0.mlp.up_proj", "mlp.up"),
        ("encoder.layer.3.intermediate.dense", "mlp.up"),
        ("h.0.mlp.c_fc", "mlp.up"),
        ("encoder.layers.0.feed_forward.intermediate_dense", "mlp.up"),
        ("encoder.layers.1.linear1", "mlp.up"),
        ("h.0.mlp.c_proj", "mlp.down"),
        ("encoder.layer.3.output.dense", "mlp.down"),
        ("transformer.h.1.mlp.dense_4h_to_h", "mlp.down"),
        ("model.decoder.layers.0.fc2", "mlp.down"),
        ("encoder.block.1.layer.1.DenseReluDense.wo", "mlp.down"),
        ("lm_head", "head"),
        ("classifier", "head"),
        ("cls.predictions.decoder", "head"),
        ("encoder.embedding_hidden_mapping_in", "linear"),
        ("pooler.dense", "linear"),
    ],
)
def test_names_of_known_architectures_tell_the_role(layer: str, expected: str) -> None:
    assert role(layer, "linear", gives_output=False) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("conv1d", "conv"),
        ("conv2d", "conv"),
        ("depthwise2d", "depthwise"),
        ("embedding", "embed"),
    ],
)
def test_what_is_not_linear_has_the_role_of_its_kind(kind: Kind, expected: str) -> None:
    assert role("lm_head", kind, gives_output=True) == expected


def test_a_linear_layer_of_unknown_name_that_gives_the_output_is_the_head() -> None:
    assert role("final", "linear", gives_output=True) == "head"
    assert role("final", "linear", gives_output=False) == "linear"


class Unit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)


class Stage(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.shrink = nn.Linear(4, 4)
        self.units = nn.ModuleList([Unit() for _ in range(depth)])


def test_entries_of_a_list_are_blocks() -> None:
    module = nn.ModuleDict({"stem": nn.Linear(4, 4), "layers": nn.ModuleList([Unit(), Unit()])})
    assert block_indices(module) == {"layers.0": 0, "layers.1": 1}


def test_blocks_of_stages_are_counted_through() -> None:
    module = nn.ModuleDict({"stages": nn.ModuleList([Stage(2), Stage(3)])})
    blocks = block_indices(module)
    assert list(blocks) == [
        f"stages.{stage}.units.{unit}" for stage, unit in ((0, 0), (0, 1), (1, 0), (1, 1), (1, 2))
    ]
    assert list(blocks.values()) == [0, 1, 2, 3, 4]
    assert block_of("stages.1.units.1.two", blocks) == 3
    assert block_of("stages.1.shrink", blocks) is None


def test_a_list_inside_a_block_does_not_split_it() -> None:
    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.Linear(32, 32)
            self.ffn = nn.ModuleList([Unit(), Unit()])

    blocks = block_indices(nn.ModuleDict({"layer": nn.ModuleList([Wide(), Wide()])}))
    assert block_of("layer.1.ffn.0.one", blocks) == 1


def test_a_flat_sequence_of_layers_has_no_blocks() -> None:
    assert block_indices(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))) == {}


def test_encoder_and_decoder_blocks_are_numbered_one_after_the_other() -> None:
    module = nn.ModuleDict(
        {"encoder": nn.ModuleList([Unit()]), "decoder": nn.ModuleList([Unit(), Unit()])}
    )
    assert block_indices(module) == {"encoder.0": 0, "decoder.0": 1, "decoder.1": 2}
