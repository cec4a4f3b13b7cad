"""Mirrors sdk/lamella/graph/decoder.py: tiny random decoders against what torch computes."""

from __future__ import annotations

import hashlib
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import onnx_ir
import pytest
import torch
import transformers
from torch import nn

from lamella.errors import LoweringError
from lamella.frontend.huggingface import trace_pretrained
from lamella.frontend.model import Model
from lamella.graph.calls import find_calls
from lamella.graph.decoder import export_decoder, generation_settings, is_decoder, obstacle
from lamella.graph.evaluate import open_session, serialise
from lamella.graph.passes.label import labelled

BOUND = 1e-4
VOCABULARY = 128
SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
    "initializer_range": 0.3,
}
GROUPED = SMALL | {"num_key_value_heads": 2}
GPT2 = {"vocab_size": VOCABULARY, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 32}

# Grouped heads and tied weights; biases and untied weights; transposed weights; a parent that
# calls the children of its child; a window narrower than the text, and no position_ids.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama": ("LlamaForCausalLM", GROUPED | {"tie_word_embeddings": True}),
    "Qwen2": ("Qwen2ForCausalLM", GROUPED),
    "GPT2": ("GPT2LMHeadModel", GPT2),
    "OPT": ("OPTForCausalLM", SMALL | {"ffn_dim": 96, "word_embed_proj_dim": 64}),
    "Gemma2": ("Gemma2ForCausalLM", GROUPED | {"head_dim": 16, "sliding_window": 5}),
}


def build(family: str) -> Any:
    name, options = MODELS[family]
    torch.manual_seed(0)
    module = getattr(transformers, name)(getattr(transformers, f"{family}Config")(**options))
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim == 1:  # norms and biases are all equal in a fresh model
                parameter.add_(0.2 * torch.randn(parameter.shape))
    return module


@cache
def traced(family: str) -> Model:
    torch.set_num_threads(1)
    return trace_pretrained(build(family), name=family, licence="none")


@cache
def exported(family: str) -> onnx_ir.Model:
    return export(traced(family))


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Model:
    return traced(request.param)


@pytest.fixture
def graph(model: Model) -> onnx_ir.Model:
    return exported(model.name)


def export(model: Model) -> onnx_ir.Model:
    return export_decoder(model.module, model.program, tuple(model.by_id))


def tokens(batch: int, count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(batch + count)
    return torch.randint(3, VOCABULARY, (batch, count), generator=generator)


class Text:
    """A text in progress, fed to the graph piece by piece as a caller of the ONNX file would."""

    def __init__(self, graph: onnx_ir.Model, batch: int) -> None:
        self.session = open_session(graph, threads=1)
        self.inputs = {entry.name: entry.shape for entry in self.session.get_inputs()}
        self.outputs = [entry.name for entry in self.session.get_outputs()]
        self.length = 0
        self.past = {
            name: np.zeros((batch, shape[1], 0, shape[3]), np.float32)
            for name, shape in self.inputs.items()
            if name.startswith("past_key_values.")
        }

    def advance(self, ids: torch.Tensor) -> np.ndarray:
        start, self.length = self.length, self.length + ids.shape[1]
        feeds = {
            "input_ids": ids.numpy(),
            "attention_mask": np.ones((len(ids), self.length), np.int64),
            "position_ids": np.tile(np.arange(start, self.length), (len(ids), 1)),
        }
        given = {name: feeds[name] for name in feeds if name in self.inputs}
        results = dict(
            zip(self.outputs, self.session.run(self.outputs, given | self.past), strict=True)
        )
        self.past = {name: results[f"present.{name.partition('.')[2]}"] for name in self.past}
        return results["logits"]


def logits(model: Model, ids: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return model.module(ids).logits.numpy()


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(found - expected).max() <= BOUND * np.abs(expected).max()


@pytest.mark.parametrize(("batch", "count"), [(1, 1), (1, 20), (3, 11)])
def test_a_whole_text_gives_the_logits_of_torch(
    model: Model, graph: onnx_ir.Model, batch: int, count: int
) -> None:
    ids = tokens(batch, count)
    assert_close(Text(graph, batch).advance(ids), logits(model, ids))


def test_a_text_in_pieces_gives_the_logits_of_the_whole(model: Model, graph: onnx_ir.Model) -> None:
    ids = tokens(2, 20)
    text = Text(graph, 2)
    pieces = [text.advance(part) for part in ids.split([1, 6, *[1] * 10, 3], dim=1)]
    assert_close(np.concatenate(pieces, axis=1), logits(model, ids))


def test_every_call_of_a_layer_is_one_node_that_reads_its_weight(
    model: Model, graph: onnx_ir.Model
) -> None:
    found = labelled(graph)
    calls = Counter(call.layer for call in find_calls(model.program, tuple(model.by_id)))
    assert {layer: len(nodes) for layer, nodes in found.items()} == calls
    assert set(calls) == set(model.by_id)
    for layer, nodes in found.items():
        weight = model.weight(model.layer(layer))
        for node in nodes:
            stored = node.inputs[0 if node.op_type == "Gather" else 1].const_value.numpy()
            assert any(np.array_equal(seen, weight) for seen in (stored, stored.T))


def test_the_graph_shares_the_memory_of_the_module(model: Model, graph: onnx_ir.Model) -> None:
    tensors = [value.const_value for value in graph.graph.initializers.values()]
    kept = [tensor for tensor in tensors if isinstance(tensor, onnx_ir.Tensor)]
    parameters = {tensor.data_ptr() for tensor in model.module.parameters() if tensor.ndim > 1}
    assert parameters <= {tensor.numpy().__array_interface__["data"][0] for tensor in kept}
    assert sum(tensor.nbytes for tensor in tensors if tensor not in kept) < 4096


def test_equal_modules_give_equal_bytes_without_a_trace_of_the_machine(
    model: Model, graph: onnx_ir.Model
) -> None:
    first, second = serialise(graph), serialise(export(model))
    assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()
    assert b"site-packages" not in first
    assert b"/tmp" not in first
    assert graph.graph.opset_imports[""] >= 21


def test_the_module_and_the_random_state_are_left_as_they_were(model: Model) -> None:
    module = model.module
    before = dict(vars(module)), vars(module.config).copy(), logits(model, tokens(2, 9))
    state = torch.get_rng_state()
    export(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert vars(module).keys() == before[0].keys()
    assert vars(module.config) == before[1]
    np.testing.assert_array_equal(logits(model, tokens(2, 9)), before[2])


def test_a_layer_that_is_not_in_the_graph_is_named() -> None:
    model = traced("Llama")
    others = (*model.by_id, "model.layers.0.self_attn")
    with pytest.raises(LoweringError, match=r"model\.layers\.0\.self_attn: called 0 times"):
        export_decoder(model.module, model.program, others)


def test_what_tracing_raises_comes_with_the_model_and_a_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = traced("Llama")

    def fail(*args: Any, **kwargs: Any) -> None:
        raise ValueError("no such operator")

    monkeypatch.setattr(model.module.model.layers[1].mlp, "forward", fail)
    with pytest.raises(LoweringError, match=r"LlamaForCausalLM .*: no such operator; .*wraps it"):
        export(model)
    assert not model.module.config.use_cache
    assert "forward" not in vars(model.module)


class Wrapped(nn.Module):
    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.decoder(input_ids).logits


def test_only_a_model_that_continues_text_fed_as_text_is_a_decoder() -> None:
    llama, ids = build("Llama"), tokens(1, 4)
    assert is_decoder(llama, (), {"input_ids": ids})
    assert is_decoder(llama, (ids,), {"attention_mask": torch.ones_like(ids)})
    assert not is_decoder(llama, (), {"inputs_embeds": torch.zeros(1, 4, 64)})
    assert not is_decoder(llama, (ids, torch.ones_like(ids)), {})
    assert not is_decoder(llama.model, (), {"input_ids": ids})
    assert not is_decoder(Wrapped(llama), (), {"input_ids": ids})


def test_an_architecture_that_optimum_does_not_know_is_named() -> None:
    llama = build("Llama")
    assert obstacle(llama) == ""
    llama.config.model_type = "zebra"
    assert obstacle(llama) == "optimum has no form with a cache for zebra models"


def test_generation_settings_are_those_of_the_model() -> None:
    llama = build("Llama")
    llama.generation_config.eos_token_id = [7, 9]
    llama.generation_config.bos_token_id = 5
    assert generation_settings(llama) == {
        "eos_token_ids": [7, 9],
        "bos_token_id": 5,
        "context_length": 32,
    }
    llama.generation_config.eos_token_id = 0
    llama.generation_config.bos_token_id = None
    assert generation_settings(llama) == {"eos_token_ids": [0], "context_length": 32}
    llama.generation_config.eos_token_id = None
    assert generation_settings(llama) == {"context_length": 32}
    assert generation_settings(build("GPT2"))["context_length"] == 32
    assert generation_settings(llama.model) == {}
    assert generation_settings(Wrapped(llama)) == {}
