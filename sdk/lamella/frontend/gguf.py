"""Loads a GGUF file: dequantised weights, tokenizer, licence.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, standardised key-value pairs.
"""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import gguf
import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
from transformers import AutoModelForCausalLM, AutoTokenizer

from lamella.errors import InputError
from lamella.frontend.huggingface import silent, trace_pretrained
from lamella.frontend.model import Model

_MAGIC = b"GGUF"

# Names of pre-tokenizers (tokenizer.ggml.pre) that split numbers into single digits before the
# rule of GPT-2 applies. transformers drops that step.
_SINGLE_DIGITS = frozenset({"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"})


def load_gguf(path: str | Path) -> Model:
    """Loads and traces the language model in a GGUF file; its weights become float32.

    Args:
        path: a .gguf file of an architecture that transformers can read. The tokenizer inside
            is attached as tokenizer.json.

    Raises:
        InputError: the file is missing, is not GGUF, or holds an architecture nobody here knows.
        TraceError: the model cannot be captured.
    """
    file = Path(path)
    fields = _read_fields(file)
    # The reader of transformers draws a progress bar that no setting of it turns off.
    with silent(), redirect_stderr(io.StringIO()):
        try:
            module = AutoModelForCausalLM.from_pretrained(
                file.parent, gguf_file=file.name, dtype=torch.float32, local_files_only=True
            )
            tokenizer = AutoTokenizer.from_pretrained(
                file.parent, gguf_file=file.name, local_files_only=True
            )
        except Exception as error:  # a broken file fails in many ways
            architecture = f"architecture {fields.get('general.architecture', 'unknown')}"
            reason = " ".join(str(error).split())
            raise InputError(f"cannot load {file} ({architecture}): {reason}") from error
    name = str(fields.get("general.name") or file.stem)
    licence = str(fields.get("general.license") or "unknown")
    model = trace_pretrained(module, name=name, licence=licence)
    text = _as_stored(tokenizer.backend_tokenizer, fields).to_str()
    model.attachments["tokenizer.json"] = text.encode()
    return model


def _read_fields(file: Path) -> dict[str, Any]:
    """Returns the metadata that are single values."""
    if not file.is_file():
        raise InputError(f"{file} does not exist; give a .gguf file")
    with file.open("rb") as stream:
        magic = stream.read(len(_MAGIC))
    if magic != _MAGIC:
        raise InputError(f"{file} is not a GGUF file: it starts with {magic!r}, not {_MAGIC!r}")
    try:
        reader = gguf.GGUFReader(file)
    except Exception as error:  # the reader trusts the file and fails in many ways
        raise InputError(f"{file} is damaged or truncated: {error}") from error
    single = (field for field in reader.fields.values() if len(field.types) == 1)
    return {field.name: field.contents() for field in single}


def _as_stored(tokenizer: Tokenizer, fields: dict[str, Any]) -> Tokenizer:
    """Sets what transformers does not take over from the file: splitting and the first token."""
    if fields.get("tokenizer.ggml.model") != "gpt2":
        return tokenizer
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if fields.get("tokenizer.ggml.pre") in _SINGLE_DIGITS:
        digits = pre_tokenizers.Digits(individual_digits=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    if not fields.get("tokenizer.ggml.add_bos_token", True):
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer
