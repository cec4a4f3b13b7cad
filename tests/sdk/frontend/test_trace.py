from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import toys
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lamella.errors import InputError, TraceError
from lamella.frontend.model import Model
from lamella.frontend.trace import trace

FAMILIES: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any], Any]] = {
    "convnet": (toys.convnet, toys.image, None),
    "bert": (toys.bert, lambda: {"input_ids": toys.tokens()}, toys.FREE_TOKENS),
    "llama": (toys.llama, lambda: {"input_ids": toys.tokens()}, toys.FREE_TOKENS),
    "gpt2": (toys.gpt2, lambda: {"input_ids": toys.tokens()}, toys.FREE_TOKENS),
    "albert": (toys.albert, lambda: {"input_ids": toys.tokens()}, toys.FREE_TOKENS),
}


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Model:
    build, inputs, free = FAMILIES[request.param]
    return trace(build(), inputs(), free, name=request.param)


def watch(model: Model) -> list[tuple[str, torch.Tensor]]:
    """Runs the module and returns each layer's name and the very tensor it was given."""
    seen: list[tuple[str, torch.Tensor]] = []
    hooks = [
        model.module.get_submodule(layer.id).register_forward_pre_hook(
            lambda _, args, name=layer.id: seen.append((name, args[0]))
        )
        for layer in model.layers
    ]
    model.module(*model.args, **model.kwargs)
    for hook in hooks:
        hook.remove()
    return seen


def test_layers_are_listed_in_the_order_in_which_the_module_calls_them(model: Model) -> None:
    called = dict.fromkeys(name for name, _ in watch(model))
    assert [layer.id for layer in model.layers] == list(called)


def test_layers_share_a_group_exactly_if_hooks_see_the_same_memory(model: Model) -> None:
    first: dict[str, torch.Tensor] = {}
    for name, tensor in watch(model):
        first.setdefault(name, tensor)
    for a in model.layers:
        for b in model.layers:
            same = first[a.id].data_ptr() == first[b.id].data_ptr()
            embeddings = "embedding" in (a.kind, b.kind)
            assert embeddings or same == (a.input_group == b.input_group), (a.id, b.id)


def test_flops_equal_those_that_torch_counts(model: Model) -> None:
    with FlopCounterMode(display=False) as counter:
        model.module(*model.args, **model.kwargs)
    counted = counter.get_flop_counts()["Global"]
    dense = ("aten.mm", "aten.addmm", "aten.convolution")
    assert sum(layer.flops for layer in model.layers) == sum(
        flops for operator, flops in counted.items() if str(operator) in dense
    )


def test_parameters_and_bytes_are_counted_once(model: Model) -> None:
    tensors: dict[int, torch.Tensor] = {}
    for layer in model.layers:
        for tensor in model.module.get_submodule(layer.id).parameters():
            tensors[id(tensor)] = tensor
    count = sum(tensor.numel() for tensor in tensors.values())
    assert sum(layer.parameters for layer in model.layers) == count
    assert sum(layer.nbytes for layer in model.layers) == 4 * count


def test_weights_read_as_rows_and_cols_multiply_as_the_layer_does(model: Model) -> None:
    for name, tensor in watch(model):
        layer = model.layer(name)
        weight = torch.from_numpy(model.weight(layer))
        assert weight.shape == (layer.rows, layer.cols)
        if layer.kind == "linear":
            module = model.module.get_submodule(name)
            expected = tensor @ weight.T + (module.bias if layer.has_bias else 0)
            torch.testing.assert_close(module(tensor), expected)


def roles(model: Model) -> dict[str, str]:
    return {layer.id: layer.role for layer in model.layers}


def test_roles_and_blocks_of_an_encoder() -> None:
    model = trace(toys.bert(), {"input_ids": toys.tokens()})
    found = roles(model)
    assert found["embeddings.word_embeddings"] == "embed"
    names = ("attention.self.query", "attention.self.key", "attention.self.value")
    expected = dict(zip(names, ("attn.q", "attn.k", "attn.v"), strict=True)) | {
        "attention.output.dense": "attn.o",
        "intermediate.dense": "mlp.up",
        "output.dense": "mlp.down",
    }
    for block in (0, 1):
        for name, role in expected.items():
            layer = model.layer(f"encoder.layer.{block}.{name}")
            assert (layer.role, layer.block) == (role, block)
    assert model.layer("embeddings.word_embeddings").block is None


def test_roles_of_a_decoder_and_its_tied_head() -> None:
    model = trace(toys.llama(), {"input_ids": toys.tokens()})
    found = [layer.role for layer in model.layers if layer.block == 1]
    attention = ["attn.q", "attn.k", "attn.v", "attn.o"]
    assert found == [*attention, "mlp.gate", "mlp.up", "mlp.down"]
    head = model.layer("lm_head")
    assert (head.role, head.tied_to) == ("head", "model.embed_tokens")
    assert (head.parameters, head.nbytes) == (0, 0)


def test_transposed_linear_layers_are_seen_as_rows_and_cols() -> None:
    model = trace(toys.gpt2(), {"input_ids": toys.tokens()})
    layer = model.layer("transformer.h.0.attn.c_attn")
    assert (layer.kind, layer.transposed, layer.role) == ("linear", True, "attn.qkv")
    assert (layer.weight_shape, layer.rows, layer.cols) == ((32, 96), 96, 32)


def test_convolutions_keep_their_geometry() -> None:
    model = trace(toys.convnet(), toys.image())
    kinds = {layer.id: layer.kind for layer in model.layers}
    assert kinds["blocks.0.depthwise"] == "depthwise2d"
    assert kinds["blocks.0.grouped"] == "conv2d"
    grouped = model.layer("blocks.1.grouped")
    assert grouped.block == 1
    assert grouped.cols == 8 // 2 * 1 * 3
    assert grouped.convolution is not None
    assert grouped.convolution.kernel == (1, 3)
    assert grouped.convolution.padding == (0, 2)
    assert grouped.convolution.dilation == (2, 2)
    assert grouped.convolution.groups == 2
    stem = model.layer("stem.0").convolution
    assert stem is not None
    assert stem.stride == (2, 2)
    assert model.layer("classifier").role == "head"


def test_padding_by_name_becomes_numbers() -> None:
    module = nn.Sequential(
        nn.Conv1d(2, 4, 5, padding="same", dilation=3), nn.Conv1d(4, 2, 3, padding="valid")
    )
    model = trace(module, torch.randn(1, 2, 30))
    found = [layer.convolution.padding for layer in model.layers if layer.convolution]
    assert found == [(6,), (0,)]


def test_a_layer_called_several_times_is_one_row_with_the_sum_of_its_flops() -> None:
    model = trace(toys.albert(), {"input_ids": toys.tokens(2, 9)})
    query = "encoder.albert_layer_groups.0.albert_layers.0.attention.query"
    layer = model.layer(query)
    assert layer.flops == 3 * 2 * 32 * 32 * 2 * 9
    assert layer.input_group == model.layer("encoder.embedding_hidden_mapping_in").id + ".linear"


def test_groups_look_through_what_changes_nothing() -> None:
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
            self.drop = nn.Dropout(0.5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.relu(x)
            plain = self.a(y)
            wrapped = self.b(self.drop(y).contiguous().detach().to(torch.float32)[:])
            flat = self.c(y.view(-1, 4)).view(2, 3, 4)
            return plain + wrapped + flat

    model = trace(Fork(), torch.randn(2, 3, 4))
    assert len({layer.input_group for layer in model.layers}) == 1


def test_groups_do_not_look_through_what_changes_channels() -> None:
    class Split(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(2, 2), nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.a(x) + self.b(x.view(4, 2)).view(2, 4) + self.c(x[:1])

    model = trace(Split(), torch.randn(2, 4))
    assert len({layer.input_group for layer in model.layers}) == 3


def test_what_cannot_be_a_layer_is_left_out_with_a_note() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.good = nn.Conv1d(4, 4, 3, padding=1)
            self.normed = nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 4, 1))
            self.mirror = nn.Conv1d(4, 4, 3, padding=1, padding_mode="reflect")
            self.up = nn.ConvTranspose1d(4, 4, 1)
            self.idle = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.up(self.mirror(self.normed(self.good(x))))

    model = trace(Odd(), torch.randn(1, 4, 6))
    assert [layer.id for layer in model.layers] == ["good"]
    notes = "\n".join(model.notes)
    assert "normed is left out: its weight is computed" in notes
    assert "mirror is left out: it pads with 'reflect'" in notes
    assert "up is left out: ConvTranspose1d is not a kind" in notes
    assert "idle is left out: it is never called" in notes


def test_a_layer_whose_weight_another_module_reads_is_left_out() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = trace(layer, torch.randn(1, 3, 8))
    assert [layer.id for layer in model.layers] == ["linear1", "linear2"]
    assert any("self_attn.out_proj" in note for note in model.notes)


def test_the_users_module_stays_as_it_was() -> None:
    module = toys.convnet().half().train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    model = trace(module, toys.image())
    assert module.training
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert all(tensor.requires_grad for tensor in module.parameters())
    assert not model.module.training
    assert {tensor.dtype for tensor in model.module.parameters()} == {torch.float32}
    assert not any(tensor.requires_grad for tensor in model.module.parameters())
    model.module.get_parameter("classifier.weight").zero_()
    assert bool(module.get_parameter("classifier.weight").any())


@pytest.mark.parametrize("form", ["tensor", "tuple", "list", "dict"])
def test_example_inputs_come_in_four_forms(form: str) -> None:
    x = torch.randn(2, 4)
    forms = {"tensor": x, "tuple": (x,), "list": [x], "dict": {"input": x}}
    assert len(trace(nn.Sequential(nn.Linear(4, 4)), forms[form]).layers) == 1


def test_example_inputs_of_another_type_are_refused() -> None:
    with pytest.raises(InputError, match="of type str"):
        trace(toys.convnet(), "image.png")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_is_named(value: float) -> None:
    module = toys.convnet()
    with torch.no_grad():
        module.get_parameter("blocks.1.project.weight")[0, 0] = value
    with pytest.raises(TraceError, match=r"blocks\.1\.project\.weight holds 1 values"):
        trace(module, toys.image())


def test_a_model_without_layers_is_refused() -> None:
    with pytest.raises(TraceError, match="LSTM is not a kind of layer"):
        trace(nn.LSTM(4, 4), torch.randn(2, 3, 4))


def test_a_single_layer_is_told_that_it_needs_a_name() -> None:
    with pytest.raises(TraceError, match=r"wrap it in a torch\.nn\.Sequential"):
        trace(nn.Linear(4, 4), torch.randn(2, 4))


def test_two_traces_give_the_same_table() -> None:
    inputs = {"input_ids": toys.tokens()}
    first, second = (trace(toys.bert(), inputs, toys.FREE_TOKENS) for _ in range(2))
    assert first.rows() == second.rows()
