"""Reads a tokenizer.json through the library `tokenizers`, which knows all forms it ever had."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer, models, normalizers

from lamella.errors import LoweringError

_MOST_IDS = 1 << 24


@dataclass(frozen=True, slots=True)
class Source:
    """A tokenizer.json with a BPE model.

    `document` is what the library writes of it, with an empty model. `contents` has the text of
    every id, of added tokens too.
    """

    document: dict[str, Any]
    model: models.BPE
    normalizer: normalizers.Normalizer | None
    vocabulary: dict[str, int]
    merges: list[tuple[str, str]]
    contents: dict[int, str]


def refuse(stage: str, what: str) -> LoweringError:
    """Returns the error for a part that the engine does not have."""
    return LoweringError(
        f"the {stage} of tokenizer.json has {what}, which the native engine cannot do in the same "
        "way; encode and decode outside of the artifact, with the library tokenizers"
    )


def read(text: bytes | str) -> Source:
    """Returns what is in the text of a tokenizer.json.

    Raises:
        LoweringError: the library cannot read it, or its model is no BPE.
    """
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8")
        library = Tokenizer.from_str(decoded)
    except Exception as error:  # The library raises nothing narrower.
        raise LoweringError(
            f"the text is no tokenizer.json that the library tokenizers reads: {error}; "
            "save it again with tokenizer.save()"
        ) from error
    model, vocabulary = library.model, library.get_vocab(with_added_tokens=False)
    if not isinstance(model, models.BPE):
        raise refuse("model", f"the type {type(model).__name__}, not BPE")
    merges = [_pair(merge) for merge in json.loads(decoded)["model"]["merges"]]
    # The library prints a warning when it writes a vocabulary with unused ids.
    library.model = models.BPE()
    document = json.loads(library.to_str())
    contents = _contents(vocabulary, document["added_tokens"])
    return Source(document, model, library.normalizer, vocabulary, merges, contents)


def _pair(merge: str | list[str]) -> tuple[str, str]:
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _contents(vocabulary: dict[str, int], added: list[dict[str, Any]]) -> dict[int, str]:
    contents = {token: text for text, token in vocabulary.items()}
    if len(contents) != len(vocabulary):
        raise refuse("model", "two tokens with one id")
    contents |= {token["id"]: token["content"] for token in added}
    if not contents or max(contents) >= _MOST_IDS:
        raise refuse("model", f"no token, or an id of {_MOST_IDS} or more")
    return dict(sorted(contents.items()))
