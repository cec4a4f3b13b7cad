"""What tells the decoders of the Llama family apart, read from the torch module and its config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lamella.errors import LoweringError


@dataclass(frozen=True, slots=True)
class Architecture:
    """How a model type differs from a Llama.

    `unit_offset`: norms multiply by 1 + weight. `outer_norms`: attention and the feed-forward
    layer have a norm behind them as well. `head_norms`: queries and keys have one for each head.
    `joined`: one layer makes queries, keys and values, and one makes gate and up. `local_rotary`:
    sliding layers have rotary tables of their own.
    """

    unit_offset: bool = False
    outer_norms: bool = False
    head_norms: bool = False
    joined: bool = False
    local_rotary: bool = False


ARCHITECTURES = {
    "llama": Architecture(),
    "mistral": Architecture(),
    "qwen2": Architecture(),
    "qwen3": Architecture(head_norms=True),
    "gemma2": Architecture(unit_offset=True, outer_norms=True),
    "gemma3_text": Architecture(
        unit_offset=True, outer_norms=True, head_norms=True, local_rotary=True
    ),
    "phi3": Architecture(joined=True),
}

# The functions of a feed-forward layer, by their names in a config: the operation on the gate.
FUNCTIONS = {"silu": "silu", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu"}


def architecture(module: Any) -> Architecture:
    """Returns the row of a decoder.

    Raises:
        LoweringError: the engine cannot express the model; says what it has that is missing here.
    """
    config = module.config
    kind = config.model_type
    if kind not in ARCHITECTURES or not hasattr(module, "lm_head"):
        raise LoweringError(
            f"decoder {type(module).__name__}: the native target builds models of the types "
            f"{', '.join(ARCHITECTURES)} that end in lm_head, not {kind!r}; use the target onnx"
        )
    if getattr(config, "attn_logit_softcapping", None) is not None:
        raise LoweringError(
            f"module model.layers.0.self_attn: attn_logit_softcapping is "
            f"{config.attn_logit_softcapping}, and the attention kernel bounds no scores; set it "
            "to None in the config and check the quality, or use the target onnx"
        )
    if getattr(config, "use_bidirectional_attention", False):
        raise LoweringError(
            "module model.layers.0.self_attn: use_bidirectional_attention is set, but a cache "
            "needs causal attention; use the target onnx"
        )
    return ARCHITECTURES[kind]


def function(config: Any) -> str:
    """Returns the operation on the gate of a feed-forward layer."""
    name = getattr(config, "hidden_activation", None) or config.hidden_act
    if name not in FUNCTIONS:
        raise LoweringError(
            f"module model.layers.0.mlp: the engine has no function {name!r}, only "
            f"{', '.join(FUNCTIONS)}; use the target onnx"
        )
    return FUNCTIONS[name]


def window(config: Any, index: int) -> int:
    """Returns how many tokens a layer sees at most, itself included; 0 for all."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and kinds[index] != "sliding_attention":
        return 0
    return int(getattr(config, "sliding_window", None) or 0)


def epsilon(norm: Any) -> float:
    """Returns what an RMSNorm adds to the mean square."""
    return float(norm.variance_epsilon if hasattr(norm, "variance_epsilon") else norm.eps)
