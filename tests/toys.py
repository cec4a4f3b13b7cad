"""Small models with seeded random weights, one per family, for tests."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

AUTO = torch.export.Dim.AUTO
VOCABULARY = 60

_SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}


class ConvNet(nn.Module):
    """A stem, two blocks with a depthwise and a grouped convolution each, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU())
        self.blocks = nn.ModuleList([Block(8), Block(8)])
        self.classifier = nn.Linear(8, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.stem(image)
        for block in self.blocks:
            x = block(x)
        return self.classifier(x.mean((2, 3)))


class Block(nn.Module):
    """Depthwise, grouped and pointwise convolution around a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.grouped = nn.Conv2d(channels, channels, (1, 3), padding=(0, 2), dilation=2, groups=2)
        self.project = nn.Conv2d(channels, channels, 1)
        self.shortcut = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = nn.functional.relu6(self.norm(self.depthwise(x)))
        return self.project(torch.relu(self.grouped(y))) + self.shortcut(x)


def convnet() -> nn.Module:
    """Returns a ConvNet whose normalisation has seen data."""
    torch.manual_seed(0)
    module = ConvNet()
    for _ in range(3):
        module(torch.randn(4, 3, 16, 16))
    return module.eval()


def bert() -> nn.Module:
    """Returns a BERT encoder without its pooling layer."""
    import transformers

    torch.manual_seed(0)
    config = transformers.BertConfig(**_SMALL, attn_implementation="sdpa")
    return transformers.BertModel(config, add_pooling_layer=False).eval()


def llama() -> nn.Module:
    """Returns a Llama language model whose head is tied to its embedding."""
    import transformers

    torch.manual_seed(0)
    options = _SMALL | {"num_key_value_heads": 2, "tie_word_embeddings": True, "use_cache": False}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**options)).eval()


def gpt2() -> nn.Module:
    """Returns a GPT-2 language model, whose linear layers are transposed."""
    import transformers

    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64, use_cache=False
    )
    return transformers.GPT2LMHeadModel(config).eval()


def albert() -> nn.Module:
    """Returns an ALBERT encoder, which calls one block three times."""
    import transformers

    torch.manual_seed(0)
    options = _SMALL | {"embedding_size": 16, "num_hidden_layers": 3}
    return transformers.AlbertModel(
        transformers.AlbertConfig(**options), add_pooling_layer=False
    ).eval()


def image(batch: int = 2, seed: int = 0) -> torch.Tensor:
    """Returns a (batch, 3, 16, 16) picture of noise."""
    return torch.randn(batch, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def tokens(batch: int = 2, length: int = 9, seed: int = 0) -> torch.Tensor:
    """Returns (batch, length) token ids."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, VOCABULARY, (batch, length), generator=generator)


FREE_TOKENS: dict[str, Any] = {"input_ids": {0: AUTO, 1: AUTO}}
FREE_IMAGE: dict[str, Any] = {"image": {0: AUTO}}
