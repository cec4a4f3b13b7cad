"""What the library `tokenizers` knows about Unicode: character classes and normalization form C.

Its regex engine, its digits and its normalization each follow a Unicode version of their own, and
none follows Python's. So the tables are asked from the installed library itself, by a few calls
over all code points; unicodedata serves only for the values of combining classes.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from itertools import groupby

from tokenizers import Regex, normalizers, pre_tokenizers

from lamella.errors import LoweringError

LETTER, NUMBER, NUMERIC, UPPER, LOWER = 1, 2, 4, 8, 16
_PLAIN = {r"\p{L}": LETTER, r"\p{N}": NUMBER}
# Letters without case and marks are in both.
_CASED = {r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]": UPPER, r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]": LOWER}

# Planes 4 to 13 hold nothing, planes 15 and 16 are for private use.
_ASKED = [
    *range(0xD800),
    *range(0xE000, 0x40000),
    *range(0xE0000, 0xE1000),
]
_BATCH = 4096
_HANGUL = range(0xAC00, 0xD7A4)
# The mark with the highest combining class: every other mark is sorted before it.
_LAST_MARK = 0x345

Boundaries = list[tuple[int, int]]


@cache
def classes(cased: bool = False) -> Boundaries:
    """Returns (first code point, class bits) wherever the class changes; the first is 0.

    UPPER and LOWER, which make the table twice as long, are in it only if `cased`.
    """
    bits = dict.fromkeys(range(0x110000), 0)
    for pattern, bit in (_PLAIN | (_CASED if cased else {})).items():
        only = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
        for text in _batches(""):
            for piece, _ in only.pre_tokenize_str(text):
                for character in piece:
                    bits[ord(character)] |= bit
    digits = pre_tokenizers.Digits(individual_digits=True)
    for text in _batches("aa"):
        # Letters stand together in pairs, so a piece of one character is a digit.
        for piece, _ in digits.pre_tokenize_str(text):
            if len(piece) == 1:
                bits[ord(piece)] |= NUMERIC
    return _boundaries(bits)


def _batches(separator: str) -> list[str]:
    parts = (_ASKED[at : at + _BATCH] for at in range(0, len(_ASKED), _BATCH))
    return [separator + separator.join(map(chr, part)) + separator for part in parts]


def _boundaries(values: dict[int, int]) -> Boundaries:
    runs = groupby(range(0x110000), key=values.__getitem__)
    return [(next(run), value) for value, run in runs]


@cache
def decompositions() -> dict[int, str]:
    """Returns the full canonical decomposition of each character that has one, without Hangul."""
    whole = _each(normalizers.NFD(), _ASKED)
    return {code: text for code, text in whole.items() if text != chr(code) and code not in _HANGUL}


@cache
def compositions() -> list[tuple[int, int, int]]:
    """Returns sorted (first, second, composite), without Hangul."""
    composed = _each(normalizers.NFC(), decompositions())
    form = normalizers.NFC()
    pairs = []
    for code, text in composed.items():
        if text != chr(code):
            continue
        parts = decompositions()[code]
        first = form.normalize_str(parts[:-1])
        if len(first) != 1 or form.normalize_str(first + parts[-1]) != text:
            raise LoweringError(
                f"the library tokenizers composes U+{code:04X} in a way that is not of Unicode; "
                "use another version of it"
            )
        pairs.append((ord(first), ord(parts[-1]), code))
    return sorted(pairs)


@cache
def combining() -> Boundaries:
    """Returns (first code point, combining class) wherever the class changes; the first is 0."""
    marks = {_LAST_MARK: unicodedata.combining(chr(_LAST_MARK))}
    last = chr(_LAST_MARK)
    form = normalizers.NFD()
    for at in range(0, len(_ASKED), _BATCH):
        part = [code for code in _ASKED[at : at + _BATCH] if code not in decompositions()]
        lines = form.normalize_str("\n".join(f"a{last}{chr(code)}" for code in part)).split("\na")
        for code, line in zip(part, lines, strict=True):
            if line.endswith(last) and code != _LAST_MARK:
                marks[code] = _known_class(code)
    values = dict.fromkeys(range(0x110000), 0) | marks
    return _boundaries(values)


def _known_class(code: int) -> int:
    if value := unicodedata.combining(chr(code)):
        return value
    raise LoweringError(
        f"the library tokenizers knows the mark U+{code:04X}, but this Python's Unicode "
        f"{unicodedata.unidata_version} does not; lower the model with a newer Python"
    )


def _each(form: normalizers.Normalizer, codes: list[int] | dict[int, str]) -> dict[int, str]:
    """Returns the normalized text of each code point alone."""
    # A line break neither composes nor moves, so what stands between two of them stays there.
    asked = [code for code in codes if code != 0x0A]
    texts: dict[int, str] = {}
    for at in range(0, len(asked), _BATCH):
        part = asked[at : at + _BATCH]
        lines = form.normalize_str("\n".join(map(chr, part))).split("\n")
        texts.update(zip(part, lines, strict=True))
    return texts
