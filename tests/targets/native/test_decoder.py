"""Decoders with random weights: programs of the engine against the modules they are built from."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers

from lamella import _native
from lamella.compression.emulate import emulate
from lamella.errors import LoweringError
from lamella.formats import parse
from lamella.frontend.huggingface import trace_pretrained
from lamella.frontend.model import Compressed, Model
from lamella.grids import quantize
from lamella.targets.native.decoder.build import CacheFormat, DecoderOptions
from lamella.targets.native.decoder.lower import lower
from lamella.targets.native.decoder.runner import DecoderRunner

Real = npt.NDArray[np.float32]
TEXT = np.random.default_rng(1).integers(0, 131, 40).tolist()


@dataclass(frozen=True)
class Case:
    """A model type and what its config says beside the sizes that all have.

    `late` is a rope_scaling that torch.export cannot trace; the module gets it behind the trace.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    late: dict[str, Any] | None = None


GEMMA3 = {
    "head_dim": 32,
    "sliding_window": 8,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
LONGROPE = {
    "rope_type": "longrope",
    "short_factor": [1.0 + i / 8 for i in range(8)],
    "long_factor": [2.0 + i for i in range(8)],
}
CASES = {
    "llama": Case("Llama"),
    "llama, tied": Case("Llama", {"tie_word_embeddings": True, "attention_bias": True}),
    "mistral": Case("Mistral", {"sliding_window": 9}),
    "qwen2": Case(
        "Qwen2", {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1}
    ),
    "qwen3": Case("Qwen3", {"head_dim": 24}),
    "gemma2": Case(
        "Gemma2",
        {
            "attn_logit_softcapping": None,
            "final_logit_softcapping": 5.0,
            "head_dim": 32,
            "sliding_window": 8,
        },
    ),
    "gemma3": Case("Gemma3", GEMMA3),
    "phi3": Case("Phi3", {"pad_token_id": 0}),
    "linear": Case("Llama", {"rope_scaling": {"rope_type": "linear", "factor": 3.0}}),
    "dynamic": Case("Llama", late={"rope_type": "dynamic", "factor": 2.0}),
    "llama3": Case("Llama", {"rope_scaling": LLAMA3}),
    "yarn": Case("Llama", {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}),
    "longrope": Case(
        "Phi3", {"pad_token_id": 0, "original_max_position_embeddings": 64}, late=LONGROPE
    ),
}


@cache
def traced(name: str) -> Model:
    case = CASES[name]
    torch.set_num_threads(1)
    torch.manual_seed(2)
    kind = "Gemma3Text" if case.name == "Gemma3" else case.name
    config = getattr(transformers, f"{kind}Config")(
        **{
            "vocab_size": 131,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 128,
            "initializer_range": 0.3,
            **case.settings,
        }
    )
    module = getattr(transformers, f"{case.name}ForCausalLM")(config)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() == 1:
                parameter += 0.2 * torch.randn(parameter.shape)
    model = trace_pretrained(module, name=name, licence="none")
    if case.late is not None:
        config.rope_scaling = case.late
        module.model.rotary_emb = type(module.model.rotary_emb)(config)
    return model


def reference(module: torch.nn.Module, ids: list[int]) -> Real:
    with torch.no_grad():
        logits: Real = module(torch.tensor([ids])).logits[0].numpy()
    return logits


def runner(model: Model, cache: CacheFormat = "f32", threads: int = 1) -> DecoderRunner:
    files = lower(model, DecoderOptions(cache, block=32)).program
    return DecoderRunner(
        files["program.bin"], np.frombuffer(files["weights.bin"], np.uint8), threads
    )


def rounded(name: str, formats: tuple[str, ...]) -> Model:
    """Rounds every layer to the nearest codes; the formats take turns, a tied head has those of
    its embedding."""
    model = trace_pretrained(traced(name).module, name=name, licence="none")
    for number, layer in enumerate(model.layers):
        if layer.tied_to is not None:
            model.packed[layer.id] = model.packed[layer.tied_to]
            continue
        format = parse(formats[number % len(formats)])
        weight = model.weight(layer)
        if format.is_float:
            values = weight.astype(np.float16).astype(np.float32)
            model.packed[layer.id] = Compressed(format.id, values=values)
        else:
            codes = quantize(weight, format)
            model.packed[layer.id] = Compressed(format.id, weight=codes)
            values = codes.decode()
        model.set_weight(layer, values)
    return model


def distance(y: Real, expected: Real) -> float:
    return float(np.abs(y - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("name", CASES)
def test_logits_are_those_of_the_module(name: str) -> None:
    model = traced(name)
    y = runner(model).run({"input_ids": np.array([TEXT])})["logits"][0]
    assert distance(y, reference(model.module, TEXT)) < 1e-4


@pytest.mark.parametrize("cache", ["f32", "f16", "int8", "int4"])
@pytest.mark.parametrize("name", ["llama, tied", "gemma3"])
def test_blocks_threads_and_single_tokens_give_the_same_bits(name: str, cache: CacheFormat) -> None:
    opened = runner(traced(name), cache)
    single, blocks = opened.decoder(64), opened.decoder(64)
    threads = runner(traced(name), cache, threads=3).decoder(64)
    [*_, last] = [single.advance([token]) for token in TEXT]
    assert last.tobytes() == blocks.advance(TEXT).tobytes() == threads.advance(TEXT).tobytes()


def test_a_ring_goes_on_beyond_its_capacity() -> None:
    model = traced("mistral")
    opened = runner(model)
    ring, whole = opened.decoder(16), opened.decoder()
    text = TEXT * 3
    # Keys lie in another order than in the text, and sums are added in the order of the keys.
    for begin, end in ((0, 5), (5, 40), (40, 41), (41, len(text))):
        y, expected = ring.advance(text[begin:end]), whole.advance(text[begin:end])
        assert distance(y, expected) < 1e-5
    assert distance(y, reference(model.module, text)[-1]) < 1e-4


@pytest.mark.parametrize(
    ("cache", "least", "most"), [("f16", 1e-7, 5e-3), ("int8", 1e-4, 5e-2), ("int4", 5e-3, 0.6)]
)
def test_caches_of_fewer_bits_stay_close(cache: CacheFormat, least: float, most: float) -> None:
    model = traced("qwen3")
    expected = runner(model).decoder().advance(TEXT)
    assert least < distance(runner(model, cache).decoder().advance(TEXT), expected) < most


@pytest.mark.parametrize(
    ("name", "formats"),
    [
        ("llama, tied", ("w4g32",)),
        ("phi3", ("w8", "w4g32z", "w6g16")),
        ("qwen2", ("w4g32", "f16", "w8g64z")),
    ],
)
def test_compressed_decoders_equal_the_emulation(name: str, formats: tuple[str, ...]) -> None:
    model = rounded(name, formats)
    y = runner(model).decoder().logits(TEXT)
    expected = reference(emulate(model), TEXT)
    # Norms of torch differ in the last bits, so that some inputs are rounded to another code.
    assert distance(y, expected) < 2e-2
    assert distance(y, reference(traced(name).module, TEXT)) > 0


def test_tied_codes_are_stored_once() -> None:
    model = rounded("llama, tied", ("w4g32",))
    tied = lower(model)
    assert next(row["nbytes"] for row in tied.layers if row["id"] == "lm_head") == 0
    other = quantize(0.9 * model.weight(model.layer("lm_head")), parse("w4g32"))
    model.packed["lm_head"] = Compressed("w4g32", weight=other)
    grown = len(lower(model).program["weights.bin"]) - len(tied.program["weights.bin"])
    # Scales of the strips of 8 rows always differ; some codes may be the same, but not all.
    assert grown >= -(-131 // 8) * 2 * 8 * 2


def test_equal_models_give_equal_programs() -> None:
    first, second = (lower(traced("gemma3")) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("gemma2", {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping is 50.0"),
        ("llama", {"model_type": "opt"}, "not 'opt'; use the target onnx"),
        ("llama", {"hidden_act": "relu"}, "no function 'relu'"),
    ],
)
def test_what_cannot_be_expressed_is_named(
    name: str, change: dict[str, Any], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = traced(name)
    for key, value in change.items():
        monkeypatch.setattr(model.module.config, key, value, raising=False)
    with pytest.raises(LoweringError, match=sentence):
        lower(model)


def test_texts_longer_than_the_angles_hold_are_refused() -> None:
    with pytest.raises(LoweringError, match="from 1 to 64 tokens"):
        lower(traced("longrope"), DecoderOptions(context=65))
    model = rounded("llama", ("w4g32",))
    model.packed["lm_head"] = Compressed("w8a8d", weight=model.packed["lm_head"].weight)
    with pytest.raises(LoweringError, match="layer lm_head: w8a8d has grids"):
        lower(model)


def test_a_program_of_something_else_is_no_decoder() -> None:
    files = lower(traced("llama")).program
    broken = files["program.bin"].replace(b"key_positions", b"key_position5")
    with pytest.raises(ValueError, match="no input key_positions"):
        _native.Generator(broken, np.frombuffer(files["weights.bin"], np.uint8))
