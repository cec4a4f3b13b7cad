"""The sentence encoder, and the language model whose channels are shuffled."""

from __future__ import annotations

import copy
from pydoc_data.topics import topics
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer
from transformers import AutoModel
from transformers.models.llama import modeling_llama

CONFIG = {
    "vocab_size": 50,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
    "use_cache": False,
}


def test_the_encoder_has_all_its_weights(minilm: Any) -> None:
    _, info = AutoModel.from_pretrained(minilm.FOLDER, output_loading_info=True)
    assert info["missing_keys"] == set() or info["missing_keys"] == []
    assert list(info["mismatched_keys"]) == []


def test_sentences_of_one_meaning_are_nearer_than_others(minilm: Any) -> None:
    tokenizer = Tokenizer.from_file(f"{minilm.FOLDER}/tokenizer.json")
    tokenizer.enable_truncation(minilm.LENGTH)
    tokenizer.enable_padding()
    lines = ["A cat sat on the mat.", "A kitten is on a rug.", "Stocks fell sharply on Monday."]
    encoded = tokenizer.encode_batch(lines)
    net = minilm.model().eval()
    with torch.inference_mode():
        found = net(
            torch.tensor([line.ids for line in encoded]),
            torch.tensor([line.attention_mask for line in encoded]),
        )
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    near, far = found[0] @ found[1], found[0] @ found[2]
    assert near > far + 0.3


@pytest.mark.parametrize("part", [0, 1])
def test_sentences_come_from_their_own_topics(minilm: Any, part: int) -> None:
    own = " ".join(" ".join(topics[name].split()) for name in sorted(topics)[part::2])
    lines = minilm.sentences(part, 300)
    assert len(lines) == 300
    assert all(line in own for line in lines)


def test_no_sentence_stands_in_both_parts(minilm: Any) -> None:
    assert set(minilm.sentences(0, 256)).isdisjoint(minilm.sentences(1, 500))


def test_a_shuffle_keeps_the_function_of_a_small_decoder_exactly(
    smollm2: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)

    # The norm of the package computes in float32 whatever it is given.
    monkeypatch.setattr(modeling_llama.LlamaRMSNorm, "forward", forward)
    torch.manual_seed(0)
    net = transformers.LlamaForCausalLM(transformers.LlamaConfig(**CONFIG)).double().eval()
    with torch.no_grad():
        for name, tensor in net.named_parameters():
            # Norms start at one, where a wrong order of their weights would not show.
            tensor.copy_(torch.randn_like(tensor) if "norm" in name else tensor * 10)
    ids = torch.arange(2 * 9).reshape(2, 9)
    shuffled = smollm2.shuffle(copy.deepcopy(net), seed=0)
    with torch.inference_mode():
        before, after = net(input_ids=ids).logits, shuffled(input_ids=ids).logits
    assert float((before - after).abs().max()) < 1e-10
    for (name, old), new in zip(net.named_parameters(), shuffled.parameters(), strict=True):
        assert not torch.equal(old, new), name


def test_a_shuffle_keeps_the_logits_of_the_language_model(smollm2: Any) -> None:
    net, shuffled = smollm2.loaded().module, smollm2.model()
    ids = smollm2.evaluation()[0]["input_ids"][:, :48]
    with torch.inference_mode():
        before, after = net(input_ids=ids).logits, shuffled(input_ids=ids).logits
    assert float((before - after).abs().max()) <= 1e-3
    # The checkpoint stores blocks of 32 weights with 16 values each; new blocks mix old ones.
    for name in ("model.layers.3.mlp.up_proj", "model.layers.7.self_attn.o_proj"):
        old = net.get_parameter(f"{name}.weight").reshape(-1, 32)[:64]
        new = shuffled.get_parameter(f"{name}.weight").reshape(-1, 32)[:64]
        assert max(len(block.unique()) for block in old) <= 16
        assert sum(len(block.unique()) for block in new) / len(new) > 16


def test_windows_come_from_their_own_topics(smollm2: Any) -> None:
    tokenizer = Tokenizer.from_str(smollm2.attachments()["tokenizer.json"].decode())
    for part in (0, 1):
        own = "\n\n".join(topics[name] for name in sorted(topics)[part::2])
        window = smollm2.windows(part, 5)[4]["input_ids"][0]
        assert len(window) == smollm2.LENGTH
        assert tokenizer.decode(window.tolist())[10:-10] in own
