"""Strict JSON: canonical when written, bounded and free of surprises when read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np

from lamella.errors import ArtifactError

MAX_BYTES = 1 << 22
MAX_DEPTH = 32
_MAX_DIGITS = 20
_INTEGERS = range(-(1 << 63), 1 << 63)

_STRING = re.compile(rb'"[^"]*"')


def dump(value: Any, where: str) -> bytes:
    """Returns canonical JSON: sorted keys, no spaces, UTF-8, shortest round-trip numbers.

    Raises:
        ArtifactError: the value is not plain JSON (dict with text keys, list or tuple, str, int,
            finite float, bool, None), is too deep or too large.
    """
    try:
        text = json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        content = text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{where}: not expressible as JSON: {error}") from error
    parse(content, where)
    _refuse_other_keys(value, where)
    return content


def parse(content: bytes | memoryview, where: str) -> Any:
    """Reads JSON that a stranger may have written.

    Raises:
        ArtifactError: the text is too long or too deep, not UTF-8, not JSON, repeats a key, or
            holds NaN, infinity, an integer beyond 64 bits or half a surrogate pair.
    """
    if len(content) > MAX_BYTES:
        raise ArtifactError(f"{where}: {len(content)} bytes of JSON; the limit is {MAX_BYTES}")
    raw = bytes(content)
    if _depth(raw) > MAX_DEPTH:
        raise ArtifactError(f"{where}: JSON nested deeper than {MAX_DEPTH} levels")
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_int=_bounded_int,
        )
        # Finds what json.loads lets through: 1e999 is infinity, "\ud800" is half a pair.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{where}: byte {error.start} is not UTF-8") from error
    except UnicodeEncodeError as error:
        raise ArtifactError(f"{where}: a text holds half a surrogate pair") from error
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{where}: not valid JSON: {error}") from error
    return value


def _depth(raw: bytes) -> int:
    """Returns the deepest nesting; brackets inside strings do not count."""
    # Escapes go first, pairs of backslashes before quotes, so that a quote left over ends a string.
    bare = _STRING.sub(b"", raw.replace(rb"\\", b"").replace(rb"\"", b""))
    text = np.frombuffer(bare, np.uint8)
    opened = (text == ord("[")) | (text == ord("{"))
    closed = (text == ord("]")) | (text == ord("}"))
    steps = opened.astype(np.int64) - closed
    return int(np.cumsum(steps).max(initial=0))


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key {key!r} comes twice")
        result[key] = value
    return result


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _bounded_int(text: str) -> int:
    if len(text) > _MAX_DIGITS or int(text) not in _INTEGERS:
        raise ValueError(f"the integer {text[:_MAX_DIGITS]}... does not fit 64 bits")
    return int(text)


def _refuse_other_keys(value: Any, where: str) -> None:
    """Refuses keys such as 1 or None, which JSON would silently turn into text."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ArtifactError(f"{where}: the key {key!r} is not text")
            _refuse_other_keys(item, where)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_other_keys(item, where)
