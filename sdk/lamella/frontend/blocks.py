"""Roles and block indices: what a layer does in its network, read from its name and place."""

from __future__ import annotations

import re
from collections.abc import Iterator

from torch import nn

from lamella.frontend.layers import Kind

# The first pattern found anywhere in the qualified name decides. The names are those of the
# transformers library, of timm and of the original checkpoints.
_LINEAR_ROLES: tuple[tuple[str, str], ...] = tuple(
    (rf"(?:^|\.)(?:{pattern})$", role)
    for pattern, role in (
        (r"lm_head|embed_out|proj_out|classifier|score|heads?|predictions\.decoder", "head"),
        (r"qkv|qkv_proj|c_attn|query_key_value|wqkv|Wqkv|in_proj", "attn.qkv"),
        (r"q|q_proj|q_lin|query|query_proj|wq|to_q", "attn.q"),
        (r"k|k_proj|k_lin|key|key_proj|wk|to_k", "attn.k"),
        (r"v|v_proj|v_lin|value|value_proj|wv|to_v", "attn.v"),
        (r"attention\.output\.dense|(?:self_)?attention\.dense|out_lin|to_out(?:\.0)?", "attn.o"),
        (r"o|o_proj|out_proj|(?:attn|attention)\.(?:c_proj|proj|wo)", "attn.o"),
        (r"gate_up_proj", "mlp.gate_up"),
        (r"gate_proj|gate|wi_0|feed_forward\.w1|w_gate", "mlp.gate"),
        (r"up_proj|c_fc|fc1|fc_in|lin1|wi|wi_1|dense_h_to_4h|pwconv1|feed_forward\.w3", "mlp.up"),
        (r"intermediate\.dense|intermediate_dense|ffn|mlp\.dense1|layers\.\d+\.linear1", "mlp.up"),
        (r"down_proj|c_proj|fc2|fc_out|lin2|wo|dense_4h_to_h|pwconv2|feed_forward\.w2", "mlp.down"),
        (r"output\.dense|output_dense|ffn_output|mlp\.dense2|layers\.\d+\.linear2", "mlp.down"),
    )
)

_KIND_ROLES: dict[Kind, str] = {
    "conv1d": "conv",
    "conv2d": "conv",
    "depthwise2d": "depthwise",
    "embedding": "embed",
}

# A block does work of its own: it has at least this many weights of two or more axes.
_LEAST_WEIGHTS = 2

# A stage is a block whose own list of equal blocks holds at least this share of its parameters.
_STAGE_SHARE = 0.6


def role(layer_id: str, kind: Kind, *, gives_output: bool) -> str:
    """Returns the role of a layer.

    Args:
        layer_id: the qualified name of its module.
        kind: what the layer is.
        gives_output: whether its result is an output of the model as it stands.
    """
    if kind != "linear":
        return _KIND_ROLES[kind]
    for pattern, name in _LINEAR_ROLES:
        if re.search(pattern, layer_id):
            return name
    return "head" if gives_output else "linear"


def block_indices(module: nn.Module) -> dict[str, int]:
    """Numbers the repeated blocks of a network in order of definition, by path.

    A block is an entry of a ModuleList or Sequential that holds two or more layers. Where the
    entries are stages, lists of equal blocks themselves, the blocks inside are counted through.
    """
    return {path: index for index, path in enumerate(_blocks(module, ""))}


def block_of(layer_id: str, blocks: dict[str, int]) -> int | None:
    """Returns the index of the block that a layer lies in, None outside of blocks."""
    path = layer_id
    while path:
        if path in blocks:
            return blocks[path]
        path = path.rpartition(".")[0]
    return None


def _blocks(module: nn.Module, path: str) -> Iterator[str]:
    entries = _entries(module)
    if not entries:
        for name, child in module.named_children():
            yield from _blocks(child, _join(path, name))
        return
    for name, child in entries:
        inner = _join(path, name)
        if _is_stage(child):
            yield from _blocks(child, inner)
        else:
            yield inner


def _entries(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Returns the entries of a list of modules that can be blocks, none for any other module."""
    if not isinstance(module, nn.ModuleList | nn.Sequential):
        return []
    return [(name, child) for name, child in module.named_children() if _weights(child) > 1]


def _is_stage(module: nn.Module) -> bool:
    inner = _outermost_entries(module)
    if not inner or len({type(child) for child in inner}) > 1:
        return False
    return sum(_size(child) for child in inner) >= _STAGE_SHARE * _size(module)


def _outermost_entries(module: nn.Module) -> list[nn.Module]:
    """Returns the entries of the lists in a module that lie in no other list of it."""
    entries = [child for _, child in _entries(module)]
    return entries or [inner for child in module.children() for inner in _outermost_entries(child)]


def _weights(module: nn.Module) -> int:
    return sum(tensor.dim() >= _LEAST_WEIGHTS for tensor in module.parameters())


def _size(module: nn.Module) -> int:
    return sum(tensor.numel() for tensor in module.parameters())


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
