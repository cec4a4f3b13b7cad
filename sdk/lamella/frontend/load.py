"""Loads a model from a path: a Hugging Face folder or a GGUF file."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from lamella.errors import InputError

if TYPE_CHECKING:
    from lamella.frontend.model import Model


def load_model(path: str | Path) -> Model:
    """Loads and traces the model at `path`.

    Args:
        path: a folder with config.json and safetensors files, or a .gguf file.

    Raises:
        InputError: nothing is there, or it is neither of the two.
        TraceError: the model is there but cannot be captured.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; give a Hugging Face folder or a .gguf file")
    if importlib.util.find_spec("transformers") is None:
        raise InputError(
            f"loading {path} needs the transformers library: pip install 'lamella[huggingface]'"
        )
    if path.is_dir():
        from lamella.frontend import huggingface

        return huggingface.load_model(path)
    if path.suffix.lower() == ".gguf":
        from lamella.frontend import gguf

        return gguf.load_gguf(path)
    raise InputError(f"{path} is neither a folder nor a .gguf file; give one of these")
