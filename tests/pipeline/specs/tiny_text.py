"""A language model of two blocks with fixed random weights, for text of any length."""

from __future__ import annotations

import torch
import transformers
from torch import Tensor, nn

NAME, LICENCE, METRIC = "tiny-text", "Apache-2.0", "perplexity"
VOCABULARY, LENGTH = 96, 24
DYNAMIC_SHAPES = {"input_ids": {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}}


class Decoder(nn.Module):
    """(batch, tokens) int64 ids to (batch, tokens, 96) float32 logits."""

    def __init__(self) -> None:
        super().__init__()
        config = transformers.LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            tie_word_embeddings=True,
            use_cache=False,
        )
        self.lm = transformers.LlamaForCausalLM(config)

    def forward(self, input_ids: Tensor) -> Tensor:
        logits: Tensor = self.lm(input_ids=input_ids).logits
        return logits


def model() -> nn.Module:
    net = Decoder().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in net.parameters():
            if tensor.dim() > 1:
                tensor.copy_(torch.randn(tensor.shape, generator=generator) / 32**0.5)
    return net


def windows(count: int, seed: int) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, VOCABULARY, (count, 2, LENGTH), generator=generator)
    return [{"input_ids": part} for part in ids]


def example_inputs() -> dict[str, Tensor]:
    return {"input_ids": torch.arange(2 * 9).reshape(2, 9)}


def calibration() -> list[dict[str, Tensor]]:
    return windows(4, seed=1)


def evaluation() -> list[dict[str, Tensor]]:
    return windows(3, seed=2)
