"""Normalizer, pre-tokenizer, decoder and template of a tokenizer.json as steps of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from lamella.targets.native.tokenizer_blob import Op, Step
from lamella.targets.native.tokenizer_source import refuse

Part = dict[str, Any]

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_FRONT = r"[^\r\n\p{L}\p{N}]?"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED = (
    f"{_FRONT}{_UPPER}*{_LOWER}+%s|{_FRONT}{_UPPER}+{_LOWER}*%s|%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SHORT_FORMS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
# The texts that are recognised, each with the step that splits as the expression does.
PATTERNS = {
    GPT2: Step(Op.WORDS_GPT2),
    _LLAMA3 % r"\p{N}{1,3}": Step(Op.WORDS_LLAMA3, 3),
    _LLAMA3 % r"\p{N}": Step(Op.WORDS_LLAMA3, 1),
    _CASED % (_SHORT_FORMS, _SHORT_FORMS, r"\p{N}{1,3}"): Step(Op.WORDS_O200K, 3),
    _CASED % ("", "", r"\p{N}"): Step(Op.WORDS_TEKKEN, 1),
    r"\p{N}": Step(Op.NUMBERS, 1),
    r"\p{N}{1,3}": Step(Op.NUMBERS, 3),
}
_BEHAVIORS = ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous")


def flat(part: Part | None, inside: str) -> Iterator[Part]:
    """Yields the parts of nested sequences, whose lists are called `inside`."""
    if part is None:
        return
    if part["type"] != "Sequence":
        yield part
        return
    for inner in part[inside]:
        yield from flat(inner, inside)


def normalizer_steps(part: Part | None) -> list[Step]:
    """Returns what happens to a text between added tokens."""
    return [_normalizer_step(inner) for inner in flat(part, "normalizers")]


def _normalizer_step(part: Part) -> Step:
    kind = part["type"]
    if kind == "NFC":
        return Step(Op.COMPOSE)
    if kind == "Prepend" and part["prepend"]:
        return Step(Op.PREPEND, 0, part["prepend"].encode())
    if kind == "Replace":
        return Step(Op.REPLACE, 0, _literal("normalizer", part), part["content"].encode())
    raise refuse("normalizer", f"the part {kind}")


def _literal(stage: str, part: Part) -> bytes:
    """Returns the fixed text that a part looks for."""
    if text := part["pattern"].get("String"):
        return str(text).encode()
    raise refuse(stage, f"{part['type']} with the pattern {part['pattern']!r}")


def pre_tokenizer_steps(part: Part | None) -> tuple[list[Step], bool]:
    """Returns how pieces are cut, and whether the model then sees bytes instead of characters."""
    steps: list[Step] = []
    parts = list(flat(part, "pretokenizers"))
    for inner in parts:
        rule = _PRE_TOKENIZERS.get(inner["type"])
        if rule is None:
            raise refuse("pre-tokenizer", f"the part {inner['type']}")
        steps += rule(inner)
    byte_level = [inner["type"] == "ByteLevel" for inner in parts]
    if any(byte_level[:-1]):
        raise refuse("pre-tokenizer", "ByteLevel before another part")
    return steps, any(byte_level)


def _digits(part: Part) -> list[Step]:
    return [Step(Op.DIGITS, int(part["individual_digits"]))]


def _byte_level(part: Part) -> list[Step]:
    prefix = [Step(Op.PREFIX, 0, b" ")] if part["add_prefix_space"] else []
    return [*prefix, *([Step(Op.WORDS_GPT2)] if part["use_regex"] else [])]


def _metaspace(part: Part) -> list[Step]:
    mark = part["replacement"].encode()
    steps = [Step(Op.REPLACE, 0, b" ", mark)]
    if part["prepend_scheme"] != "never":
        steps.append(Step(Op.PREFIX, int(part["prepend_scheme"] == "first"), mark))
    if part["split"]:
        steps.append(Step(Op.LITERAL, _BEHAVIORS.index("MergedWithNext"), mark))
    return steps


def _split(part: Part) -> list[Step]:
    behavior, invert = part["behavior"], part["invert"]
    expression = part["pattern"].get("Regex")
    if expression is None:
        if invert:
            raise refuse("pre-tokenizer", "Split with invert")
        literal = _literal("pre-tokenizer", part)
        return [Step(Op.LITERAL, _BEHAVIORS.index(behavior), literal)]
    step = PATTERNS.get(expression)
    if step is None:
        raise refuse("pre-tokenizer", f"Split with the unknown pattern {expression!r}")
    # Words cover every character, so it is the same to keep them or to drop what is between them.
    same = [("Isolated", False), *([] if step.op is Op.NUMBERS else [("Removed", True)])]
    if (behavior, invert) in same:
        return [step]
    raise refuse("pre-tokenizer", f"Split with behavior {behavior} and invert {invert}")


_PRE_TOKENIZERS: dict[str, Callable[[Part], list[Step]]] = {
    "Digits": _digits,
    "ByteLevel": _byte_level,
    "Metaspace": _metaspace,
    "Split": _split,
}


def decoder_steps(part: Part | None, byte_level: bool) -> list[Step]:
    """Returns how the texts of tokens become a text."""
    parts = list(flat(part, "decoders"))
    kinds = [inner["type"] for inner in parts]
    if kinds == ["ByteLevel"] and byte_level:
        return []
    if not parts or byte_level or "ByteLevel" in kinds:
        raise refuse("decoder", f"the parts {kinds} for this pre-tokenizer")
    # Fuse joins what the engine joins anyway, but Strip without it would strip every token.
    order = [kind for kind in ("Replace", "ByteFallback", "Fuse", "Strip") if kind in kinds]
    if kinds != order or ("Strip" in kinds and "Fuse" not in kinds):
        raise refuse("decoder", f"the parts {kinds} in this order")
    return [_decoder_step(inner) for inner in parts if inner["type"] != "Fuse"]


def _decoder_step(part: Part) -> Step:
    kind = part["type"]
    if kind == "ByteFallback":
        return Step(Op.BYTE_TOKENS)
    if kind == "Replace":
        old, new = _literal("decoder", part), part["content"].encode()
        if len(new) <= len(old):
            return Step(Op.REPLACE, 0, old, new)
        raise refuse("decoder", f"Replace of {old!r} by the longer {new!r}")
    if part["stop"] == 0:
        return Step(Op.STRIP_START, part["start"], part["content"].encode())
    raise refuse("decoder", f"Strip of {part['stop']} characters at the end")


def template(part: Part | None) -> tuple[list[int], list[int]]:
    """Returns the ids that stand before and after one text."""
    parts = [inner for inner in flat(part, "processors") if inner["type"] != "ByteLevel"]
    if not parts:
        return [], []
    if len(parts) > 1 or parts[0]["type"] != "TemplateProcessing":
        kinds = [inner["type"] for inner in parts]
        raise refuse("post-processor", f"the parts {kinds}, not one TemplateProcessing")
    special = parts[0]["special_tokens"]
    items = parts[0]["single"]
    texts = [at for at, item in enumerate(items) if "Sequence" in item]
    if len(texts) != 1 or items[texts[0]]["Sequence"]["id"] != "A":
        raise refuse("post-processor", "a template that does not hold the text once")
    ids = [
        [] if "Sequence" in item else special[item["SpecialToken"]["id"]]["ids"] for item in items
    ]
    return list(chain(*ids[: texts[0]])), list(chain(*ids[texts[0] :]))
