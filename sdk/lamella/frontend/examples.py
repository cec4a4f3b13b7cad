"""Example inputs and free axes of a transformers model, derived from its configuration."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.export import Dim

# No two of them are equal and none is 1, so that torch.export takes none for another or as fixed.
_BATCH = 2
_TOKENS = 16
_TARGET_TOKENS = 8
_SAMPLES = 8000
_PIXELS = 224
_MEL_FRAMES = 3000

Inputs = tuple[dict[str, torch.Tensor], dict[str, dict[int, Any]]]


def example_inputs(config: Any, main_input: str, *, with_mask: bool) -> Inputs:
    """Returns example arguments by name, and which of their axes may vary.

    Args:
        config: the configuration of the model.
        main_input: the model's first input: input_ids, pixel_values, input_values or
            input_features.
        with_mask: whether text comes with an attention mask, as batches of an encoder do.
    """
    free: dict[str, dict[int, Any]] = {}
    if main_input == "input_ids":
        inputs = {"input_ids": _tokens(config, _TOKENS)}
        if with_mask:
            inputs["attention_mask"] = torch.ones(_BATCH, _TOKENS, dtype=torch.int64)
        free = {name: {0: Dim.AUTO, 1: Dim.AUTO} for name in inputs}
    elif main_input == "pixel_values":
        inputs = {"pixel_values": _noise(_BATCH, *_picture(config))}
        free = {"pixel_values": {0: Dim.AUTO}}
    elif main_input == "input_values":
        inputs = {"input_values": _noise(_BATCH, _SAMPLES)}
        free = {"input_values": {0: Dim.AUTO}}
    else:
        bands = int(getattr(config, "num_mel_bins", 80))
        frames = 2 * int(getattr(config, "max_source_positions", _MEL_FRAMES // 2))
        inputs = {main_input: _noise(_BATCH, bands, frames)}
        free = {main_input: {0: Dim.AUTO}}
    if getattr(config, "is_encoder_decoder", False):
        inputs["decoder_input_ids"] = _tokens(config, _TARGET_TOKENS)
        free["decoder_input_ids"] = {0: Dim.AUTO, 1: Dim.AUTO}
    return inputs, free


def _tokens(config: Any, count: int) -> torch.Tensor:
    vocabulary = int(config.get_text_config().vocab_size)
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, vocabulary, (_BATCH, count), generator=generator)


def _noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _picture(config: Any) -> tuple[int, int, int]:
    """Returns channels, height and width of the pictures that a vision model takes."""
    config = getattr(config, "vision_config", config)
    channels = int(getattr(config, "num_channels", 3))
    size = getattr(config, "image_size", None) or _PIXELS
    height, width = size if isinstance(size, Iterable) else (size, size)
    return channels, int(height), int(width)
