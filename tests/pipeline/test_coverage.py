"""How many architectures go all the way: module, layer table, ONNX, equal outputs.

Every row is a model of one architecture with few, random, seeded weights. `known_failure` says
why a row does not pass yet and `raises` is what its error says; such a row must go on failing in
that way, else the table has to be mended.

The bound: the largest error of any output element is at most 1e-4 of the largest element of that
output, in onnxruntime with its optimisations on, at the example shapes and, on the free axes, at
other ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import nn
from torch.utils import _pytree as pytree

from lamella.errors import LamellaError
from lamella.frontend.huggingface import silent
from lamella.frontend.trace import trace
from lamella.graph.evaluate import run
from lamella.graph.export import export_onnx
from lamella.graph.passes.label import labelled

BOUND = 1e-4
AUTO = torch.export.Dim.AUTO
VOCABULARY = 99


@dataclass(frozen=True)
class Row:
    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[[int], dict[str, torch.Tensor]]
    free: dict[str, tuple[int, ...]]
    known_failure: str = ""
    raises: str = ""


def tokens(batch: int, length: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, VOCABULARY, (batch, length), generator=generator)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def text(seed: int) -> dict[str, torch.Tensor]:
    """Returns two sentences, or three longer ones with padding for another seed."""
    ids = tokens(2 + seed, 9 + 4 * seed, seed)
    mask = torch.ones_like(ids)
    if seed:
        mask[-1, -5:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def prompt(seed: int) -> dict[str, torch.Tensor]:
    return {"input_ids": tokens(2 + seed, 9 + 4 * seed, seed)}


def picture(side: int) -> Callable[[int], dict[str, torch.Tensor]]:
    return lambda seed: {"pixel_values": noise(2 + seed, 3, side, side, seed=seed)}


def waveform(seed: int) -> dict[str, torch.Tensor]:
    return {"input_values": noise(2 + seed, 800, seed=seed)}


TEXT = {"input_ids": (0, 1), "attention_mask": (0, 1)}
PROMPT = {"input_ids": (0, 1)}
PICTURE = {"pixel_values": (0,)}
WAVEFORM = {"input_values": (0,)}

SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
GROUPED = SMALL | {"num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0}
# Local and global attention take turns.
ALTERNATING = GROUPED | {
    "num_hidden_layers": 2,
    "sliding_window": 8,
    "layer_types": ["sliding_attention", "full_attention"],
}


def hf(model: str, config: str, **options: Any) -> Callable[[], nn.Module]:
    """Returns a builder of a transformers model from its configuration."""

    def build() -> nn.Module:
        settings = getattr(transformers, config)(**options)
        settings.use_cache = False
        module: nn.Module = getattr(transformers, model)(settings)
        return module

    return build


def encoder(name: str, model: str, config: str, **options: Any) -> Row:
    return Row(name, hf(model, config, **(SMALL | options)), text, TEXT)


def decoder(name: str, model: str, config: str, **options: Any) -> Row:
    return Row(name, hf(model, config, **options), prompt, PROMPT)


def fails(row: Row, because: str, raises: str) -> Row:
    return replace(row, known_failure=because, raises=raises)


def vision(name: str, model: str, config: str, side: int, **options: Any) -> Row:
    return Row(name, hf(model, config, **options), picture(side), PICTURE)


class SmallConvNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8),
            nn.Conv2d(8, 16, 1),
            nn.ReLU6(),
        )
        self.head = nn.Linear(16, 10)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(pixel_values).mean((2, 3)))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 16)
        self.lstm = nn.LSTM(16, 24, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(48, 5)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(self.embedding(input_ids))[0])


class Step(nn.Sequential):
    def __init__(self, before: int, after: int) -> None:
        super().__init__(
            nn.Conv2d(before, after, 3, padding=1),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1),
            nn.ReLU(),
        )


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([Step(3, 8), Step(8, 16)])
        self.middle = Step(16, 32)
        self.widen = nn.ModuleList(
            [nn.ConvTranspose2d(32, 16, 2, 2), nn.ConvTranspose2d(16, 8, 2, 2)]
        )
        self.up = nn.ModuleList([Step(32, 16), Step(16, 8)])
        self.out = nn.Conv2d(8, 2, 1)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        kept = []
        x = pixel_values
        for step in self.down:
            x = step(x)
            kept.append(x)
            x = nn.functional.max_pool2d(x, 2)
        x = self.middle(x)
        for widen, step in zip(self.widen, self.up, strict=True):
            x = step(torch.cat([widen(x), kept.pop()], dim=1))
        return self.out(x)


class Perceptron(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Linear(12, 32), nn.GELU(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 3)
        )


class TorchTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 5)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(features))


class TemporalConvNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(4, 8, 3, padding=2, dilation=2),
            nn.ReLU(),
            nn.Conv1d(8, 8, 3, padding="same", groups=4),
            nn.Hardswish(),
            nn.Conv1d(8, 2, 1),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.layers(features)


T5 = {
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 1,
    "num_heads": 4,
}
WHISPER = {
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "num_mel_bins": 8,
    "max_source_positions": 20,
    "max_target_positions": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
    "suppress_tokens": [],
    "begin_suppress_tokens": [],
}
SPEECH = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": (16, 16),
    "conv_stride": (5, 4),
    "conv_kernel": (10, 4),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 12,
}
PATCHES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
    "num_labels": 5,
}


def whisper_encoder() -> nn.Module:
    return hf("WhisperModel", "WhisperConfig", **WHISPER)().get_encoder()


def whisper_decoder() -> nn.Module:
    return hf("WhisperModel", "WhisperConfig", **WHISPER)().get_decoder()


def clip_vision() -> nn.Module:
    return hf(
        "CLIPVisionModelWithProjection", "CLIPVisionConfig", **(PATCHES | {"projection_dim": 16})
    )()


ROWS = (
    encoder("bert", "BertModel", "BertConfig"),
    Row(
        "distilbert",
        hf(
            "DistilBertForSequenceClassification",
            "DistilBertConfig",
            vocab_size=VOCABULARY,
            dim=32,
            hidden_dim=64,
            n_layers=2,
            n_heads=4,
            max_position_embeddings=64,
        ),
        text,
        TEXT,
    ),
    encoder("roberta", "RobertaModel", "RobertaConfig"),
    encoder("albert", "AlbertModel", "AlbertConfig", embedding_size=16),
    encoder("electra", "ElectraModel", "ElectraConfig", embedding_size=16),
    encoder(
        "mobilebert",
        "MobileBertModel",
        "MobileBertConfig",
        embedding_size=16,
        intra_bottleneck_size=16,
        true_hidden_size=16,
    ),
    encoder("mpnet", "MPNetModel", "MPNetConfig"),
    encoder("deberta_v2", "DebertaV2Model", "DebertaV2Config"),
    encoder("xlm_roberta", "XLMRobertaForTokenClassification", "XLMRobertaConfig"),
    decoder(
        "gpt2",
        "GPT2LMHeadModel",
        "GPT2Config",
        vocab_size=VOCABULARY,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=64,
    ),
    decoder(
        "opt",
        "OPTForCausalLM",
        "OPTConfig",
        vocab_size=VOCABULARY,
        hidden_size=32,
        ffn_dim=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        word_embed_proj_dim=16,
    ),
    decoder(
        "gpt_neo",
        "GPTNeoForCausalLM",
        "GPTNeoConfig",
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        attention_types=[[["global", "local"], 1]],
        max_position_embeddings=64,
        window_size=4,
    ),
    decoder(
        "bloom",
        "BloomForCausalLM",
        "BloomConfig",
        vocab_size=VOCABULARY,
        hidden_size=32,
        n_layer=2,
        n_head=4,
    ),
    decoder("gpt_neox", "GPTNeoXForCausalLM", "GPTNeoXConfig", **SMALL),
    decoder("llama", "LlamaForCausalLM", "LlamaConfig", **GROUPED),
    decoder("mistral", "MistralForCausalLM", "MistralConfig", **GROUPED, sliding_window=8),
    decoder("qwen2", "Qwen2ForCausalLM", "Qwen2Config", **GROUPED, tie_word_embeddings=True),
    decoder("qwen3", "Qwen3ForCausalLM", "Qwen3Config", **GROUPED),
    decoder("gemma2", "Gemma2ForCausalLM", "Gemma2Config", **ALTERNATING),
    decoder("gemma3_text", "Gemma3ForCausalLM", "Gemma3TextConfig", **ALTERNATING),
    decoder("phi3", "Phi3ForCausalLM", "Phi3Config", **GROUPED),
    decoder("stablelm", "StableLmForCausalLM", "StableLmConfig", **GROUPED),
    decoder("smollm3", "SmolLM3ForCausalLM", "SmolLM3Config", **GROUPED),
    decoder("olmo2", "Olmo2ForCausalLM", "Olmo2Config", **GROUPED),
    fails(
        decoder(
            "mixtral",
            "MixtralForCausalLM",
            "MixtralConfig",
            **GROUPED,
            num_local_experts=2,
            num_experts_per_tok=1,
        ),
        because="which experts run is decided by a Python loop over the values of the router",
        raises="control flow depends on the values of a tensor",
    ),
    fails(
        decoder(
            "mamba",
            "MambaForCausalLM",
            "MambaConfig",
            vocab_size=VOCABULARY,
            hidden_size=32,
            state_size=4,
            num_hidden_layers=2,
        ),
        because="the scan over tokens is a Python loop, unrolled for the example's length",
        raises="cannot run the model on these inputs",
    ),
    fails(
        encoder("longformer", "LongformerModel", "LongformerConfig", attention_window=4),
        because="it asks at run time whether any token attends globally",
        raises="control flow depends on the values of a tensor",
    ),
    Row(
        "bart",
        hf(
            "BartModel",
            "BartConfig",
            vocab_size=VOCABULARY,
            d_model=32,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=64,
        ),
        lambda seed: prompt(seed) | {"decoder_input_ids": tokens(2 + seed, 5 + seed, seed)},
        {"input_ids": (0, 1), "decoder_input_ids": (0, 1)},
    ),
    Row("t5_encoder", hf("T5EncoderModel", "T5Config", **T5), text, TEXT),
    Row(
        "t5",
        hf("T5ForConditionalGeneration", "T5Config", **T5),
        lambda seed: prompt(seed) | {"decoder_input_ids": tokens(2 + seed, 5 + seed, seed)},
        {"input_ids": (0, 1), "decoder_input_ids": (0, 1)},
    ),
    Row(
        "whisper_encoder",
        whisper_encoder,
        lambda seed: {"input_features": noise(2 + seed, 8, 40, seed=seed)},
        {"input_features": (0,)},
    ),
    Row(
        "whisper_decoder",
        whisper_decoder,
        lambda seed: prompt(seed) | {"encoder_hidden_states": noise(2 + seed, 20, 32, seed=seed)},
        {"input_ids": (0, 1), "encoder_hidden_states": (0,)},
    ),
    Row("wav2vec2", hf("Wav2Vec2Model", "Wav2Vec2Config", **SPEECH), waveform, WAVEFORM),
    Row("hubert", hf("HubertModel", "HubertConfig", **SPEECH), waveform, WAVEFORM),
    vision("vit", "ViTForImageClassification", "ViTConfig", 32, **PATCHES),
    vision("deit", "DeiTForImageClassification", "DeiTConfig", 32, **PATCHES),
    vision(
        "swin",
        "SwinForImageClassification",
        "SwinConfig",
        32,
        image_size=32,
        patch_size=2,
        embed_dim=8,
        depths=[2, 2],
        num_heads=[2, 4],
        window_size=4,
        num_labels=5,
    ),
    vision(
        "convnext",
        "ConvNextForImageClassification",
        "ConvNextConfig",
        32,
        hidden_sizes=[8, 16, 16, 32],
        depths=[1, 1, 2, 1],
        num_labels=5,
    ),
    vision(
        "mobilenet_v2",
        "MobileNetV2ForImageClassification",
        "MobileNetV2Config",
        32,
        depth_multiplier=0.25,
        depth_divisible_by=4,
        min_depth=4,
        num_labels=5,
        image_size=32,
    ),
    vision(
        "resnet",
        "ResNetForImageClassification",
        "ResNetConfig",
        32,
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[2, 2],
        num_labels=5,
    ),
    vision(
        "regnet",
        "RegNetForImageClassification",
        "RegNetConfig",
        32,
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 2],
        groups_width=4,
        num_labels=5,
    ),
    vision(
        "mobilevit",
        "MobileViTForImageClassification",
        "MobileViTConfig",
        64,
        image_size=64,
        hidden_sizes=[16, 24, 32],
        neck_hidden_sizes=[4, 8, 8, 12, 12, 16, 24],
        num_attention_heads=2,
        num_labels=5,
    ),
    vision(
        "segformer",
        "SegformerForSemanticSegmentation",
        "SegformerConfig",
        64,
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 8, 16, 16],
        num_attention_heads=[1, 2, 2, 4],
        decoder_hidden_size=16,
        num_labels=5,
    ),
    vision("dinov2", "Dinov2Model", "Dinov2Config", 32, **PATCHES),
    Row("clip_vision", clip_vision, picture(32), PICTURE),
    Row(
        "clip_text",
        hf("CLIPTextModel", "CLIPTextConfig", **SMALL, eos_token_id=2),
        text,
        TEXT,
    ),
    vision(
        "efficientnet",
        "EfficientNetForImageClassification",
        "EfficientNetConfig",
        32,
        image_size=32,
        width_coefficient=0.25,
        depth_coefficient=0.3,
        hidden_dim=320,
        num_labels=5,
    ),
    Row("plain_cnn", SmallConvNet, picture(32), PICTURE),
    Row(
        "plain_lstm",
        Recurrent,
        lambda seed: {"input_ids": tokens(2 + seed, 9, seed)},
        {"input_ids": (0,)},
    ),
    Row("plain_unet", UNet, picture(32), PICTURE),
    Row(
        "plain_mlp",
        Perceptron,
        lambda seed: {"input": noise(2 + seed, 12, seed=seed)},
        {"input": (0,)},
    ),
    Row(
        "plain_transformer",
        TorchTransformer,
        lambda seed: {"features": noise(2 + seed, 7 + seed, 32, seed=seed)},
        {"features": (0, 1)},
    ),
    Row(
        "plain_tcn",
        TemporalConvNet,
        lambda seed: {"features": noise(2 + seed, 4, 20 + seed, seed=seed)},
        {"features": (0, 2)},
    ),
)


def liven(module: nn.Module) -> nn.Module:
    """Gives every weight a size that keeps signals alive; small initial ones would hide errors."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in module.parameters():
            values = torch.randn(tensor.shape, generator=generator)
            if tensor.dim() > 1:
                gain = 2.0 if tensor.dim() > 2 else 1.0
                tensor.copy_(values * (gain / tensor[0].numel()) ** 0.5)
            else:
                tensor.add_(0.1 * values)
        for name, tensor in module.named_buffers():
            if name.endswith("running_mean"):
                tensor.copy_(0.1 * torch.randn(tensor.shape, generator=generator))
            elif name.endswith("running_var"):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return module


def worst_error(row: Row) -> float:
    """Takes one row all the way and returns its largest relative error."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with silent():
        module = liven(row.build())
    shapes = {name: dict.fromkeys(axes, AUTO) for name, axes in row.free.items()}
    model = trace(module, row.inputs(0), shapes, name=row.name)
    assert len(model.layers) >= 2
    assert 0 < sum(layer.parameters for layer in model.layers) <= model.parameters
    exported = export_onnx(
        model.module, model.args, model.kwargs, model.dynamic_shapes, list(model.by_id)
    )
    assert set(labelled(exported)) == set(model.by_id)
    return max(_error(model.module, exported, row.inputs(seed)) for seed in (0, 1))


def _error(module: nn.Module, exported: Any, inputs: dict[str, torch.Tensor]) -> float:
    with torch.no_grad():
        wanted = pytree.tree_leaves(module(**inputs))
    names = {value.name for value in exported.graph.inputs}
    feeds = {name: value.numpy() for name, value in inputs.items() if name in names}
    results = list(run(exported, feeds).values())
    truths = [value.numpy() for value in wanted if isinstance(value, torch.Tensor)]
    errors = []
    for result, truth in zip(results, truths, strict=True):
        assert result.shape == truth.shape
        scale = float(np.abs(truth).max())
        assert 1e-2 < scale < 1e4
        errors.append(float(np.abs(result.astype(np.float64) - truth).max()) / scale)
    return max(errors)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_architecture_goes_all_the_way_or_fails_for_the_reason_given(row: Row) -> None:
    if row.known_failure:
        with pytest.raises(LamellaError, match=row.raises):
            worst_error(row)
        return
    assert worst_error(row) <= BOUND


def test_the_share_that_passes_is_a_number() -> None:
    passing = [row.name for row in ROWS if not row.known_failure]
    print(f"{len(passing)} of {len(ROWS)} architectures go from torch to ONNX with equal outputs")
    for row in ROWS:
        if row.known_failure:
            print(f"{row.name}: {row.known_failure}")
    assert len(ROWS) >= 40
    assert len(passing) >= 30
    assert len({row.name for row in ROWS}) == len(ROWS)
