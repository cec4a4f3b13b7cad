"""Writes tokenizer.bin; native/engine/TOKENIZER.md is the specification."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

MAGIC = b"\x89LTK\r\n\x1a\n"
VERSION = 1
NONE = 0xFFFFFFFF
_ALIGNMENT = 16
_FNV_OFFSET, _FNV_PRIME = 0x811C9DC5, 0x01000193
_WORD = 0xFFFFFFFF


class Section(IntEnum):
    """The kinds of sections, in the order they are stored."""

    SETTINGS = 1
    TOKEN_OFFSETS = 2
    TOKEN_BYTES = 3
    TOKEN_FLAGS = 4
    MERGES = 5
    MERGE_SLOTS = 6
    LOOKUP_SLOTS = 7
    BYTES = 8
    ADDED = 9
    ADDED_NORMALIZED = 10
    NORMALIZER = 11
    PRE_TOKENIZER = 12
    DECODER = 13
    TEMPLATE = 14
    CLASSES = 15
    DECOMPOSITIONS = 16
    COMBINING = 17
    COMPOSITIONS = 18
    CHAT = 19


class Op(IntEnum):
    """The steps of the normalizer, the pre-tokenizer and the decoder."""

    PREPEND = 1
    REPLACE = 2
    COMPOSE = 3
    DIGITS = 16
    WORDS_GPT2 = 17
    WORDS_LLAMA3 = 18
    LITERAL = 19
    PREFIX = 20
    NUMBERS = 21
    WORDS_O200K = 22
    WORDS_TEKKEN = 23
    BYTE_TOKENS = 32
    STRIP_START = 33


@dataclass(frozen=True, slots=True)
class Step:
    """One step; what `number`, `first` and `second` mean depends on `op`."""

    op: Op
    number: int = 0
    first: bytes = b""
    second: bytes = b""

    def stored(self) -> bytes:
        """Returns the record of the step."""
        head = struct.pack("<4I", self.op, self.number, len(self.first), len(self.second))
        return padded(head + self.first + self.second, 4)


@dataclass(frozen=True, slots=True)
class Added:
    """An added token: the text it is found by, its id, and whether it takes spaces beside it."""

    content: bytes
    token: int
    lstrip: bool
    rstrip: bool


def words(values: Iterable[int]) -> bytes:
    """Returns unsigned 32-bit numbers."""
    stored = list(values)
    return struct.pack(f"<{len(stored)}I", *stored)


def padded(data: bytes, alignment: int) -> bytes:
    """Returns `data` with zeros up to a multiple of `alignment`."""
    return data + bytes(-len(data) % alignment)


def write(sections: Mapping[Section, bytes]) -> bytes:
    """Returns the whole blob; empty sections are left out."""
    kept = sorted((kind, data) for kind, data in sections.items() if data)
    at = 32 + 16 * len(kept)
    table, body = b"", b""
    for kind, data in kept:
        table += struct.pack("<4I", kind, at + len(body), len(data), 0)
        body += padded(data, _ALIGNMENT)
    head = MAGIC + struct.pack("<IIQQ", VERSION, len(kept), at + len(body), 0)
    return head + table + body


def token_sections(texts: Sequence[bytes], flags: Sequence[int]) -> dict[Section, bytes]:
    """Returns the text and flags of every id."""
    offsets = [0]
    for text in texts:
        offsets.append(offsets[-1] + len(text))
    return {
        Section.TOKEN_OFFSETS: words(offsets),
        Section.TOKEN_BYTES: b"".join(texts),
        Section.TOKEN_FLAGS: bytes(flags),
    }


def merge_sections(merges: Sequence[tuple[int, int, int]]) -> dict[Section, bytes]:
    """Returns (left, right, merged) in order of rank, and the table that finds a pair."""
    hashes = [hash_pair(left, right) for left, right, _ in merges]
    return {
        Section.MERGES: words(number for merge in merges for number in merge),
        Section.MERGE_SLOTS: words(_slots(hashes, range(len(merges)))),
    }


def lookup_section(texts: Mapping[bytes, int]) -> bytes:
    """Returns the table that finds the id of a text."""
    return words(_slots([hash_text(text) for text in texts], texts.values()))


def _slots(hashes: Sequence[int], values: Iterable[int]) -> list[int]:
    """Places values by open addressing with linear steps; at most two of three slots are used."""
    size = 1 << (3 * len(hashes) // 2).bit_length()
    slots = [NONE] * size
    for code, value in zip(hashes, values, strict=True):
        at = code & (size - 1)
        while slots[at] != NONE:
            at = (at + 1) & (size - 1)
        slots[at] = value
    return slots


def hash_pair(left: int, right: int) -> int:
    """Returns the 32-bit hash of two ids."""
    mixed = (left * 0x9E3779B1 + right) & _WORD
    mixed = ((mixed ^ mixed >> 16) * 0x7FEB352D) & _WORD
    mixed = ((mixed ^ mixed >> 15) * 0x846CA68B) & _WORD
    return mixed ^ mixed >> 16


def hash_text(text: bytes) -> int:
    """Returns the 32-bit FNV-1a hash of a text."""
    mixed = _FNV_OFFSET
    for byte in text:
        mixed = ((mixed ^ byte) * _FNV_PRIME) & _WORD
    return mixed


def added_section(tokens: Iterable[Added]) -> bytes:
    """Returns added tokens sorted by content, with their texts after the records."""
    ordered = sorted(tokens, key=lambda token: token.content)
    if not ordered:
        return b""
    records, texts = words([len(ordered)]), b""
    start = 4 + 16 * len(ordered)
    for token in ordered:
        flags = token.lstrip | token.rstrip << 1
        records += words([start + len(texts), len(token.content), token.token, flags])
        texts += token.content
    return records + texts


def decomposition_section(table: Mapping[int, str]) -> bytes:
    """Returns (code point, offset, count) sorted, with the code points after the records."""
    records, parts = [len(table)], list[int]()
    for code in sorted(table):
        records += [code, len(parts), len(table[code])]
        parts += map(ord, table[code])
    return words([*records, *parts])
