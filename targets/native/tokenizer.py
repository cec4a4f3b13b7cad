"""Compiles a tokenizer.json into tokenizer.bin, which a device reads without JSON or regex.

What the library `tokenizers` does with the file is the definition; native/engine/TOKENIZER.md
says which parts there are and how they are stored. Truncation and padding are left out: they are
requests of a training script, not of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tokenizers import pre_tokenizers

from lamella.targets.native import tokenizer_blob as blob
from lamella.targets.native import tokenizer_steps as steps
from lamella.targets.native import unicode_tables
from lamella.targets.native.tokenizer_blob import NONE, Op, Section, Step
from lamella.targets.native.tokenizer_source import Source, read, refuse

_KNOWN, _SPECIAL, _BYTE = 1, 2, 4
_BYTE_LEVEL, _FUSE_UNKNOWN, _WHOLE_PIECES = 1, 2, 4
# What the library takes for a byte: it reads the two places as a number, and "+7" is one.
_BYTE_TOKEN = re.compile(r"<0x([0-9a-fA-F]|\+)[0-9a-fA-F]>")
_CASED = {Op.WORDS_O200K, Op.WORDS_TEKKEN}
_CLASSED = {Op.DIGITS, Op.NUMBERS, Op.WORDS_GPT2, Op.WORDS_LLAMA3, *_CASED}


def compile_tokenizer(text: bytes | str, chat: bytes = b"") -> bytes:
    """Returns tokenizer.bin for the text of a tokenizer.json.

    Args:
        text: what is in tokenizer.json.
        chat: what `lamella.targets.native.chat.compile_chat` made of the chat template.

    Raises:
        LoweringError: the text is no tokenizer.json, or has a part that the engine lacks.
    """
    source = read(text)
    document = source.document
    cuts, byte_level = steps.pre_tokenizer_steps(document["pre_tokenizer"])
    normalizer = steps.normalizer_steps(document["normalizer"])
    if normalizer and any(step.op is Op.PREFIX and step.number for step in cuts):
        raise refuse("pre-tokenizer", 'Metaspace with "first" after a normalizer')
    decoder = steps.decoder_steps(document["decoder"], byte_level)
    _check_replaced(source, decoder)
    return blob.write(
        {
            **_vocabulary_sections(source, byte_level, decoder),
            **_model_sections(source, byte_level),
            **_added_sections(source),
            **_unicode_sections(normalizer, cuts),
            Section.NORMALIZER: _stored(normalizer),
            Section.PRE_TOKENIZER: _stored(cuts),
            Section.DECODER: _stored(decoder),
            Section.TEMPLATE: _template(source),
            Section.CHAT: chat,
        }
    )


def _stored(parts: list[Step]) -> bytes:
    return b"".join(step.stored() for step in parts)


def _vocabulary_sections(
    source: Source, byte_level: bool, decoder: list[Step]
) -> dict[Section, bytes]:
    contents = source.contents
    special = {added["id"] for added in source.document["added_tokens"] if added["special"]}
    has_bytes = any(step.op is Op.BYTE_TOKENS for step in decoder)
    texts, flags = [], []
    for token in range(max(contents) + 1):
        content = contents.get(token)
        texts.append(b"" if content is None else _stored_text(content, byte_level))
        byte = has_bytes and content is not None and _BYTE_TOKEN.fullmatch(content)
        flags.append(
            (content is not None) * _KNOWN + (token in special) * _SPECIAL + bool(byte) * _BYTE
        )
    return blob.token_sections(texts, flags)


def _alphabet() -> dict[str, int]:
    """Returns the byte that each character of the byte-level alphabet stands for."""
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in kept]
    alphabet = {chr(byte): byte for byte in kept}
    alphabet |= {chr(256 + at): byte for at, byte in enumerate(others)}
    assert set(alphabet) == set(pre_tokenizers.ByteLevel.alphabet())
    return alphabet


_ALPHABET = _alphabet()


def _stored_text(content: str, byte_level: bool) -> bytes:
    """Returns the bytes of a token, or its UTF-8 if it does not spell bytes."""
    if byte_level and all(character in _ALPHABET for character in content):
        return bytes(_ALPHABET[character] for character in content)
    return content.encode()


def _model_sections(source: Source, byte_level: bool) -> dict[Section, bytes]:
    model, vocabulary = source.model, source.vocabulary
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if value := getattr(model, name):
            raise refuse("model", f"{name} {value!r}")
    symbols = _byte_level_symbols(source) if byte_level else _byte_tokens(source)
    flags = byte_level * _BYTE_LEVEL + bool(model.fuse_unk) * _FUSE_UNKNOWN
    flags += bool(model.ignore_merges) * _WHOLE_PIECES
    # A pair that comes twice has its last rank, as in the library.
    ranks = {
        (vocabulary[left], vocabulary[right]): (rank, vocabulary[left + right])
        for rank, (left, right) in enumerate(source.merges)
    }
    ordered = sorted((rank, *pair, merged) for pair, (rank, merged) in ranks.items())
    return {
        **blob.merge_sections([(left, right, merged) for _, left, right, merged in ordered]),
        Section.SETTINGS: blob.words([flags, _unknown(source, symbols), 0, 0]),
        Section.LOOKUP_SLOTS: blob.lookup_section(_lookup(source, byte_level)),
        Section.BYTES: blob.words(symbols),
    }


def _byte_level_symbols(source: Source) -> list[int]:
    """Returns the id that each byte starts as."""
    symbols = [NONE] * 256
    for character, byte in _ALPHABET.items():
        symbols[byte] = source.vocabulary.get(character, NONE)
        names = [f"<0x{part:02X}>" for part in character.encode()]
        fallback = source.model.byte_fallback and all(n in source.vocabulary for n in names)
        if symbols[byte] == NONE and fallback:
            raise refuse("model", f"byte tokens but not the character {character!r}")
    return symbols


def _byte_tokens(source: Source) -> list[int]:
    """Returns the id of each byte of a character that the vocabulary lacks."""
    if not source.model.byte_fallback:
        return [NONE] * 256
    return [source.vocabulary.get(f"<0x{byte:02X}>", NONE) for byte in range(256)]


def _unknown(source: Source, symbols: list[int]) -> int:
    name = source.model.unk_token
    if name is None or NONE not in symbols:
        return NONE
    if name not in source.vocabulary:
        raise refuse("model", f"unk_token {name!r}, which is not in the vocabulary")
    return source.vocabulary[name]


def _lookup(source: Source, byte_level: bool) -> dict[bytes, int]:
    """Returns the texts that the engine looks up as a whole: characters, or all pieces."""
    whole = source.model.ignore_merges
    if byte_level:
        spelled = (text for text in source.vocabulary if whole and set(text) <= set(_ALPHABET))
    else:
        spelled = (text for text in source.vocabulary if whole or len(text) == 1)
    # The order says where texts lie that share a place, and the library's dictionary has none.
    ordered = sorted((source.vocabulary[text], text) for text in spelled if text)
    return {_stored_text(text, byte_level): token for token, text in ordered}


def _added_sections(source: Source) -> dict[Section, bytes]:
    normalizer = source.normalizer
    found: dict[Section, dict[str, blob.Added]] = {Section.ADDED: {}, Section.ADDED_NORMALIZED: {}}
    for added in source.document["added_tokens"]:
        content = added["content"]
        if added["single_word"]:
            raise refuse("added vocabulary", f"the token {content!r} with single_word")
        section = Section.ADDED_NORMALIZED if added["normalized"] else Section.ADDED
        if added["normalized"] and normalizer is not None:
            content = normalizer.normalize_str(content)
        if not content or content in found[section]:
            raise refuse(
                "added vocabulary",
                f"the token {added['content']!r}, empty or twice after it is normalized",
            )
        found[section][content] = blob.Added(
            content.encode(), added["id"], added["lstrip"], added["rstrip"]
        )
    return {section: blob.added_section(tokens.values()) for section, tokens in found.items()}


def _check_replaced(source: Source, decoder: list[Step]) -> None:
    """Refuses a Replace that would make or break a byte token; the engine looks before it."""
    if not any(step.op is Op.BYTE_TOKENS for step in decoder):
        return
    for step in decoder:
        for content in source.contents.values() if step.op is Op.REPLACE else ():
            replaced = content.replace(step.first.decode(), step.second.decode())
            is_byte = bool(_BYTE_TOKEN.fullmatch(content))
            if is_byte != bool(_BYTE_TOKEN.fullmatch(replaced)) or (
                is_byte and replaced != content
            ):
                raise refuse("decoder", f"Replace that changes the byte token {content!r}")


def _unicode_sections(normalizer: list[Step], cuts: list[Step]) -> dict[Section, bytes]:
    sections = {}
    if any(step.op in _CLASSED for step in cuts):
        cased = any(step.op in _CASED for step in cuts)
        sections[Section.CLASSES] = _flat(unicode_tables.classes(cased))
    if any(step.op is Op.COMPOSE for step in normalizer):
        table = unicode_tables.decompositions()
        sections[Section.DECOMPOSITIONS] = blob.decomposition_section(table)
        sections[Section.COMBINING] = _flat(unicode_tables.combining())
        sections[Section.COMPOSITIONS] = _flat(unicode_tables.compositions())
    return sections


def _flat(rows: Iterable[Sequence[int]]) -> bytes:
    return blob.words(number for row in rows for number in row)


def _template(source: Source) -> bytes:
    before, after = steps.template(source.document["post_processor"])
    for token in (*before, *after):
        if token not in source.contents:
            raise refuse("post-processor", f"the id {token}, which is no token")
    return blob.words([len(before), len(after), *before, *after]) if before or after else b""
