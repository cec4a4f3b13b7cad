"""The files are written with the gguf package; the oracle is a torch Llama of the same weights."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
import transformers
from gguf.constants import GGMLQuantizationType
from tokenizers import Tokenizer

from lamella.errors import InputError
from lamella.frontend.gguf import load_gguf

HIDDEN, HEADS, KEYS, FFN = 64, 4, 2, 96
VOCABULARY = [*"abcdefghijklmnopqrstuvwxyz0123456789Ġ", "ab", "cd", "<s>", "</s>"]
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def llama() -> transformers.LlamaForCausalLM:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=HIDDEN,
        intermediate_size=FFN,
        num_hidden_layers=1,
        num_attention_heads=HEADS,
        num_key_value_heads=KEYS,
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        rope_theta=10000.0,
    )
    return transformers.LlamaForCausalLM(config).eval()


def interleave(weight: np.ndarray, heads: int) -> np.ndarray:
    """Orders the rows of a query or key weight as GGUF files of Llama do."""
    rows, cols = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, cols)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, cols))


def write(path: Path, module: transformers.LlamaForCausalLM, pre: str = "smollm") -> None:
    """Writes `module` with its feed-forward weights as Q8_0, which they are rounded to first."""
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("Toy")
    writer.add_license("mit")
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEYS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(VOCABULARY))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(VOCABULARY)
    writer.add_token_types([1] * (len(VOCABULARY) - 2) + [3, 3])
    writer.add_token_merges(["a b", "c d"])
    writer.add_bos_token_id(len(VOCABULARY) - 2)
    writer.add_eos_token_id(len(VOCABULARY) - 1)
    writer.add_unk_token_id(len(VOCABULARY) - 1)
    writer.add_add_bos_token(False)
    for name, tensor in module.state_dict().items():
        add(writer, name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add(writer: gguf.GGUFWriter, name: str, tensor: torch.Tensor) -> None:
    fixed = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    values = tensor.numpy()
    if name in fixed:
        writer.add_tensor(fixed[name], values)
        return
    inner = name.removeprefix("model.layers.0.").removesuffix(".weight")
    target = f"blk.0.{NAMES[inner]}.weight"
    if inner == "self_attn.q_proj":
        values = interleave(values, HEADS)
    elif inner == "self_attn.k_proj":
        values = interleave(values, KEYS)
    if inner.startswith("mlp."):
        scale = (np.abs(values.reshape(-1, 32)).max(1, keepdims=True) / 127).astype(np.float16)
        codes = np.rint(values.reshape(-1, 32) / scale.astype(np.float32)).astype(np.int8)
        tensor.copy_(torch.from_numpy((codes * scale.astype(np.float32)).reshape(values.shape)))
        packed = np.concatenate([scale.view(np.uint8), codes.view(np.uint8)], axis=1)
        rows = packed.reshape(values.shape[0], -1)
        writer.add_tensor(target, rows, raw_dtype=GGMLQuantizationType.Q8_0)
        return
    writer.add_tensor(target, values)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, transformers.LlamaForCausalLM]:
    path = tmp_path_factory.mktemp("gguf") / "toy.gguf"
    module = llama()
    write(path, module)
    return path, module


def test_weights_are_dequantised_and_logits_are_those_of_the_source(
    file: tuple[Path, transformers.LlamaForCausalLM],
) -> None:
    path, source = file
    model = load_gguf(path)
    ids = torch.randint(0, len(VOCABULARY), (3, 9), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.module(input_ids=ids).logits, source(ids).logits)
    up = "model.layers.0.mlp.up_proj"
    assert torch.equal(
        model.module.get_parameter(f"{up}.weight"), source.get_parameter(f"{up}.weight")
    )
    assert (model.name, model.licence) == ("Toy", "mit")
    assert [layer.role for layer in model.layers][-1] == "head"


def test_the_tokenizer_is_attached_as_the_file_describes_it(
    file: tuple[Path, transformers.LlamaForCausalLM],
) -> None:
    tokenizer = Tokenizer.from_str(load_gguf(file[0]).attachments["tokenizer.json"].decode())
    encoded = tokenizer.encode("abc  12 a<s>")
    assert encoded.tokens == ["ab", "c", "Ġ", "Ġ", "1", "2", "Ġ", "a", "<s>"]
    assert tokenizer.decode(encoded.ids, skip_special_tokens=False) == "abc  12 a<s>"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.gguf does not exist"):
        load_gguf(tmp_path / "none.gguf")


@pytest.mark.parametrize("kept", [4, 50, 3000])
def test_a_truncated_file_is_refused(
    tmp_path: Path, file: tuple[Path, transformers.LlamaForCausalLM], kept: int
) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(file[0].read_bytes()[:kept])
    with pytest.raises(InputError, match=r"cut\.gguf"):
        load_gguf(cut)


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    writer = gguf.GGUFWriter(str(path), "perceptron")
    writer.add_tensor("weight", np.zeros((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(InputError, match="architecture perceptron"):
        load_gguf(path)
