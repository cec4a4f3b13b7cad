"""Language models on the onnx target: a compressed decoder with its cache, from torch to text."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from lamella.api.deliver import pack, predictor
from lamella.compression.simulate import attach
from lamella.formats import parse
from lamella.frontend.huggingface import trace_pretrained
from lamella.frontend.model import Compressed, Model
from lamella.graph.decoder import generation_settings
from lamella.grids import quantize
from lamella.planner.spec import Plan
from lamella.runtime.decoder import CachedDecoder, RecomputingDecoder, open_decoder
from lamella.runtime.generate import generate_ids
from lamella.runtime.session import Session, load
from lamella.targets.onnx.lower import OnnxTarget
from lamella.targets.target import Lowered

NEW_TOKENS = 20
PROMPT = (5, 17, 99, 3)


@dataclass(frozen=True)
class Case:
    """The formats of the blocks and of the tied embedding, and what carries out the layers."""

    blocks: str
    embedding: str
    operators: frozenset[str]


CASES = {
    "float": Case("f32", "f32", frozenset({"Gather", "MatMul"})),
    "four bits": Case("w4g32", "w4g32", frozenset({"GatherBlockQuantized", "MatMulNBits"})),
    "wide embedding": Case(
        "w4g32", "w8g32", frozenset({"GatherBlockQuantized", "MatMul", "MatMulNBits"})
    ),
    "widened": Case("w3g32z", "w3g16", frozenset({"GatherBlockQuantized", "MatMulNBits"})),
    "unpacked": Case("w5g32z", "w5", frozenset({"Gather", "MatMul"})),
    "int8 per token": Case("w8a8d", "f16", frozenset({"Gather", "MatMul", "MatMulInteger"})),
}


def llama() -> Model:
    torch.set_num_threads(1)
    torch.manual_seed(2)
    config = transformers.LlamaConfig(
        vocab_size=128,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
        tie_word_embeddings=True,
        eos_token_id=None,
    )
    module = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        # Otherwise a tied embedding makes the token that was just read the likeliest.
        module.model.norm.weight.copy_(torch.randn(64))
    return trace_pretrained(module, name="llama", licence="none")


@cache
def compressed(name: str) -> Model:
    """Rounds every layer to the nearest codes of its format; the tied layers share theirs."""
    model, case = llama(), CASES[name]
    chosen = {
        layer.id: case.embedding if layer.role in ("embed", "head") else case.blocks
        for layer in model.layers
    }
    for layer in model.layers:
        owner = layer.tied_to or layer.id
        if owner not in model.packed:
            model.packed[owner] = rounded(model, owner, chosen[owner])
        model.packed[layer.id] = model.packed[owner]
    attach(model, {layer: parse(format_id) for layer, format_id in chosen.items()})
    return model


def rounded(model: Model, layer_id: str, format_id: str) -> Compressed:
    layer, format = model.layer(layer_id), parse(format_id)
    if format.is_float:
        values = model.weight(layer).astype(f"f{format.bits // 8}").astype(np.float32)
        model.set_weight(layer, values)
        return Compressed(format_id, values=values)
    weight = quantize(model.weight(layer), format)
    model.set_weight(layer, weight.decode())
    return Compressed(format_id, weight=weight)


@cache
def lowered(name: str) -> Lowered:
    return OnnxTarget().lower(compressed(name))


def delivered(model: Model, program: Lowered, folder: Path) -> Session:
    path = folder / "llama.lamella"
    example = {"input_ids": np.arange(12)[None]}
    pack(program, model, Plan(), example, path, generation_settings(model.module))
    return load(path, threads=1)


def greedy(module: torch.nn.Module) -> list[int]:
    """Continues the prompt with the likeliest tokens, the whole text anew at every step."""
    ids = torch.tensor([PROMPT])
    for _ in range(NEW_TOKENS):
        with torch.no_grad():
            likeliest = module(ids).logits[0, -1].argmax()
        ids = torch.cat([ids, likeliest[None, None]], dim=1)
    return ids[0, len(PROMPT) :].tolist()


@pytest.mark.parametrize("name", CASES)
def test_the_artifact_writes_the_text_of_the_simulation(name: str, tmp_path: Path) -> None:
    expected = greedy(compressed(name).module)
    assert len(set(expected)) > NEW_TOKENS // 2
    with delivered(compressed(name), lowered(name), tmp_path) as session:
        assert session.verify().ok
        assert isinstance(open_decoder(session), CachedDecoder)
        assert list(generate_ids(session, PROMPT, max_new_tokens=NEW_TOKENS)) == expected


@pytest.mark.parametrize("name", CASES)
def test_every_layer_is_carried_out_in_its_format(name: str) -> None:
    model, rows = compressed(name), lowered(name).layers
    assert [row["id"] for row in rows] == [layer.id for layer in model.layers]
    assert [row["format"] for row in rows] == [model.packed[row["id"]].format for row in rows]
    assert {row["operator"] for row in rows} == CASES[name].operators


def test_a_tied_weight_is_stored_once_at_its_width() -> None:
    rows = {row["id"]: row["nbytes"] for row in lowered("four bits").layers}
    assert rows["model.embed_tokens"] == 128 * 64 // 2 + 2 * 128 * 2
    assert rows["lm_head"] < 64  # the shape in which it reads the same codes


def test_two_lowerings_give_equal_bytes() -> None:
    assert OnnxTarget().lower(compressed("four bits")).program == lowered("four bits").program


def test_a_batch_of_whole_texts_gives_the_logits_of_every_token(tmp_path: Path) -> None:
    model = compressed("float")
    ids = torch.arange(27).reshape(3, 9)
    mask = torch.ones_like(ids)
    mask[1, :4] = 0
    with delivered(model, lowered("float"), tmp_path) as session:
        plain = predictor(session)({"input_ids": ids.numpy()})["logits"]
        hidden = predictor(session)({"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
    bound = 1e-4 * np.abs(plain).max()
    np.testing.assert_allclose(plain, model.module(ids).logits, rtol=0, atol=bound)
    masked = model.module(ids, attention_mask=mask).logits.numpy()
    seen = mask.bool().numpy()
    np.testing.assert_allclose(hidden["logits"][seen], masked[seen], rtol=0, atol=bound)
    assert np.abs(masked[1] - plain[1])[4:].max() > 10 * bound


def test_a_decoder_that_optimum_does_not_know_is_lowered_without_cache(tmp_path: Path) -> None:
    model = llama()
    model.module.config.model_type = "zebra"
    program = OnnxTarget().lower(model)
    assert program.notes == (
        "every step of a text computes the whole text again: "
        "optimum has no form with a cache for zebra models",
    )
    with delivered(model, program, tmp_path) as session:
        assert isinstance(open_decoder(session), RecomputingDecoder)
        found = list(generate_ids(session, PROMPT, max_new_tokens=NEW_TOKENS))
    assert found == greedy(model.module)
