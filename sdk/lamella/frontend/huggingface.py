"""Loads a Hugging Face folder: configuration, safetensors, tokenizer, licence."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
import yaml
from transformers.utils import logging

from lamella.errors import InputError
from lamella.frontend.examples import example_inputs
from lamella.frontend.model import Model
from lamella.frontend.trace import trace_in_place

# Architectures whose last part is one of these predict the next token.
_CAUSAL = ("ForCausalLM", "LMHeadModel")

_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*$", re.DOTALL | re.MULTILINE)


def load_model(path: str | Path) -> Model:
    """Loads and traces the model in a folder; nothing is fetched and no code of it is run.

    The class is the first of `architectures` in config.json. Language models are traced without
    their cache, to logits; encoders without their pooling layer, to last_hidden_state.

    Args:
        path: a folder with config.json and safetensors files; a tokenizer.json is attached.

    Raises:
        InputError: the folder or a file in it is missing or malformed.
        TraceError: the model cannot be captured.
    """
    folder = Path(path)
    architecture, name = _read_config(folder)
    if not any(folder.glob("*.safetensors")):
        raise InputError(
            f"{folder} has no .safetensors file; convert the checkpoint, for example with "
            "model.save_pretrained(folder, safe_serialization=True)"
        )
    options = {"local_files_only": True, "dtype": torch.float32, "use_safetensors": True}
    if "add_pooling_layer" in inspect.signature(architecture.__init__).parameters:
        options["add_pooling_layer"] = False
    with silent():
        try:
            module = architecture.from_pretrained(folder, **options)
        except Exception as error:  # a broken folder fails in many ways
            reason = " ".join(str(error).split())
            raise InputError(f"cannot load {folder}: {reason}") from error
    model = trace_pretrained(module, name=name, licence=_licence(folder))
    tokenizer = folder / "tokenizer.json"
    if tokenizer.is_file():
        model.attachments["tokenizer.json"] = tokenizer.read_bytes()
    return model


def trace_pretrained(module: Any, *, name: str, licence: str) -> Model:
    """Traces a transformers model on inputs derived from its configuration; takes it over."""
    causal = type(module).__name__.endswith(_CAUSAL)
    for config in (module.config, module.config.get_text_config()):
        config.use_cache = False
    inputs, free = example_inputs(module.config, module.main_input_name, with_mask=not causal)
    return trace_in_place(module, inputs, free, name=name, licence=licence)


@contextmanager
def silent() -> Iterator[None]:
    """Hides the log and the progress bars of transformers."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _read_config(folder: Path) -> tuple[Any, str]:
    """Returns the model class that config.json names, and a name for the model."""
    file = folder / "config.json"
    if not file.is_file():
        raise InputError(f"{folder} has no config.json; give the folder of one Hugging Face model")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{file} is not JSON: {error}") from error
    named = config.get("architectures") if isinstance(config, dict) else None
    if not named:
        raise InputError(
            f"{file} names no model class in 'architectures'; add it, for example "
            '"architectures": ["BertModel"]'
        )
    architecture = getattr(transformers, str(named[0]), None)
    if architecture is None:
        raise InputError(
            f"{file} names the class {named[0]!r}, which transformers {transformers.__version__} "
            "does not have; models that bring their own code are not loaded"
        )
    origin = str(config.get("_name_or_path") or "").rstrip("/")
    return architecture, origin.rpartition("/")[2] or folder.resolve().name


def _licence(folder: Path) -> str:
    """Returns the licence in the front matter of README.md, `unknown` where there is none."""
    readme = folder / "README.md"
    if not readme.is_file():
        return "unknown"
    found = _FRONT_MATTER.match(readme.read_text(encoding="utf-8", errors="replace"))
    try:
        card = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError:
        return "unknown"
    licence = card.get("license") if isinstance(card, dict) else None
    return str(licence) if licence else "unknown"
