from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import toys
import transformers
from tokenizers import Tokenizer, models

from lamella.errors import InputError
from lamella.frontend.huggingface import load_model, trace_pretrained


def save(module: torch.nn.Module, folder: Path) -> Path:
    module.save_pretrained(folder, safe_serialization=True)  # type: ignore[operator]
    return folder


def test_an_encoder_gives_its_last_hidden_state_for_any_batch(tmp_path: Path) -> None:
    module = toys.bert()
    model = load_model(save(module, tmp_path))
    assert set(model.kwargs) == {"input_ids", "attention_mask"}
    inputs = {"input_ids": toys.tokens(3, 7), "attention_mask": torch.ones(3, 7).long()}
    outputs = model.program.module()(**inputs)
    assert set(outputs) == {"last_hidden_state"}
    torch.testing.assert_close(outputs.last_hidden_state, module(**inputs).last_hidden_state)


def test_the_pooling_layer_of_an_encoder_is_not_loaded(tmp_path: Path) -> None:
    module = transformers.BertModel(toys.bert().config)
    model = load_model(save(module, tmp_path))
    assert not any("pooler" in layer.id for layer in model.layers)


def test_a_language_model_gives_logits_and_no_cache(tmp_path: Path) -> None:
    module = toys.llama()
    model = load_model(save(module, tmp_path))
    assert set(model.kwargs) == {"input_ids"}
    ids = toys.tokens(3, 11)
    outputs = model.program.module()(input_ids=ids)
    assert set(outputs) == {"logits"}
    torch.testing.assert_close(outputs.logits, module(ids).logits)


def test_an_image_classifier_takes_pictures_of_its_configured_size(tmp_path: Path) -> None:
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], num_labels=3
    )
    model = load_model(save(transformers.ResNetForImageClassification(config), tmp_path))
    assert model.kwargs["pixel_values"].shape == (2, 3, 224, 224)
    assert model.layers[-1].role == "head"


def test_an_encoder_decoder_takes_tokens_on_both_sides() -> None:
    config = transformers.T5Config(
        vocab_size=40, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2
    )
    module = transformers.T5ForConditionalGeneration(config)
    model = trace_pretrained(module, name="t5", licence="unknown")
    assert set(model.kwargs) == {"input_ids", "attention_mask", "decoder_input_ids"}


def test_tokenizer_licence_and_name_come_along(tmp_path: Path) -> None:
    save(toys.bert(), tmp_path)
    tokenizer = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# Model\n")
    model = load_model(tmp_path)
    attached = Tokenizer.from_str(model.attachments["tokenizer.json"].decode())
    assert attached.encode("a").ids == [0]
    assert model.licence == "apache-2.0"
    assert model.name == tmp_path.name


@pytest.mark.parametrize("readme", ["# No front matter\n", "---\n: [\n---\n"])
def test_a_readme_without_a_licence_gives_unknown(tmp_path: Path, readme: str) -> None:
    save(toys.bert(), tmp_path)
    (tmp_path / "README.md").write_text(readme)
    assert load_model(tmp_path).licence == "unknown"


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    toys.bert().config.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | {"architectures": ["BertModel"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(InputError, match=r"has no \.safetensors file"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "names no model class"),
        ("{}", "names no model class"),
        ('{"architectures": ["EvilModel"]}', "'EvilModel', which transformers"),
    ],
)
def test_a_malformed_configuration_is_named(tmp_path: Path, config: str, message: str) -> None:
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(InputError, match=message):
        load_model(tmp_path)


def test_a_truncated_weight_file_is_named(tmp_path: Path) -> None:
    save(toys.bert(), tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match=f"cannot load {tmp_path}"):
        load_model(tmp_path)
