"""Kinds of language model program behind one verb: give it tokens, get the next logits.

The runner of a target may keep the caches of texts itself. Of other programs, one that takes
`past_key_values.N.key` and `.value` and gives `present.N.*` keeps its cache between steps; any
other sees the whole text again at every step. The names are those of the Hugging Face exporter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from lamella.artifact.contents import Array
from lamella.artifact.manifest import Port
from lamella.errors import DeviceError, InputError
from lamella.runtime.sampling import Sampling
from lamella.runtime.session import Session

Logits = npt.NDArray[np.floating]

_PAST = "past_key_values"
_PRESENT = "present"
_IDS = "input_ids"
_MASK = "attention_mask"
_POSITIONS = "position_ids"


class Decoder(Protocol):
    """A text in progress."""

    def advance(self, ids: Sequence[int]) -> Logits:
        """Appends at least one token and returns the (vocabulary,) logits of the one after."""


@runtime_checkable
class TokenSource(Protocol):
    """A text in progress that chooses its tokens itself."""

    def tokens(self, ids: Sequence[int], sampling: Sampling) -> Iterator[int]:
        """Appends at least one token and yields those that are chosen after them."""


def open_decoder(session: Session) -> Decoder:
    """Starts an empty text with the kind of program that the session has.

    Raises:
        DeviceError: the program is not a language model of a known kind; the message says why.
    """
    own: Decoder | None = session.own_decoder()
    if own is not None:
        return own
    _check(session)
    if has_cache(session.inputs):
        return CachedDecoder(session)
    return RecomputingDecoder(session)


def has_cache(ports: Iterable[Port]) -> bool:
    """Whether the inputs of a program are those of a language model that keeps its cache."""
    return any(port.name.startswith(_PAST) for port in ports)


def decoder_feeds(ports: Sequence[Port], ids: Array) -> dict[str, Array]:
    """Returns what a program with a cache takes to compute whole texts at once: an empty past.

    Args:
        ports: the inputs of the program.
        ids: (batch, tokens) tokens, all of them text.

    Returns:
        One array for each port whose name the exporter of Hugging Face uses.
    """
    batch, count = ids.shape
    rows = {
        _IDS: ids,
        _MASK: np.ones_like(ids),
        _POSITIONS: np.broadcast_to(np.arange(count), ids.shape),
    }
    feeds = {port.name: rows[port.name].astype(port.dtype) for port in ports if port.name in rows}
    caches = (port for port in ports if port.name.startswith(_PAST))
    return {**feeds, **{port.name: _empty_cache(port, batch) for port in caches}}


class RecomputingDecoder:
    """A program without a cache: every step computes the whole text."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._logits = _logits_name(session)
        self._ids: list[int] = []

    def advance(self, ids: Sequence[int]) -> Logits:
        """Appends tokens and returns the (vocabulary,) logits of the one after."""
        self._ids += ids
        count = len(self._ids)
        width = self._width(count)
        rows = {
            _IDS: np.pad(np.array(self._ids), (0, width - count)),
            # Later tokens cannot change earlier ones, so padding behind the text is harmless.
            _MASK: np.arange(width) < count,
            _POSITIONS: np.arange(width),
        }
        feeds = {port.name: _row(rows[port.name], port) for port in self._session.inputs}
        return _last(self._session.run(feeds)[self._logits], count - 1)

    def _width(self, count: int) -> int:
        """Returns the number of tokens that the program computes for a text of `count`."""
        axis = next(port.shape[1] for port in self._session.inputs if port.name == _IDS)
        if not isinstance(axis, int):
            return count
        if count > axis:
            raise InputError(
                f"{self._session.path} is compiled for texts of {axis} tokens; this one has {count}"
            )
        return axis


class CachedDecoder:
    """A program with a key and value cache: every step computes only what is new."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._logits = _logits_name(session)
        self._length = 0
        caches = [port for port in session.inputs if port.name.startswith(_PAST)]
        self._caches = {port.name: _empty_cache(port) for port in caches}
        self._results = {name: _PRESENT + name.removeprefix(_PAST) for name in self._caches}
        given = {port.name for port in session.outputs}
        lost = sorted(set(self._results.values()) - given)
        if lost:
            raise DeviceError(f"{session.path} takes a cache but does not give {', '.join(lost)}")

    def advance(self, ids: Sequence[int]) -> Logits:
        """Appends tokens and returns the (vocabulary,) logits of the one after."""
        start, self._length = self._length, self._length + len(ids)
        rows = {
            _IDS: np.array(ids),
            _MASK: np.ones(self._length),
            _POSITIONS: np.arange(start, self._length),
        }
        feeds = {
            port.name: _row(rows[port.name], port)
            for port in self._session.inputs
            if port.name in rows
        }
        outputs = self._session.run({**feeds, **self._caches})
        self._caches = {name: outputs[result] for name, result in self._results.items()}
        return _last(outputs[self._logits], len(ids) - 1)


def _check(session: Session) -> None:
    names = [port.name for port in session.inputs]
    others = [
        port.name
        for port in session.inputs
        if port.name not in (_IDS, _MASK, _POSITIONS) and not port.name.startswith(f"{_PAST}.")
    ]
    if _IDS not in names or others:
        flaw = f"needs {', '.join(others)}" if others else f"takes no {_IDS}"
        raise DeviceError(
            f"{session.path} cannot generate text: its program {flaw}; its inputs are "
            f"{', '.join(names) or 'none'}"
        )
    for port in session.inputs:
        if port.name in (_IDS, _MASK, _POSITIONS) and (
            len(port.shape) != 2 or (isinstance(port.shape[0], int) and port.shape[0] != 1)
        ):
            raise DeviceError(
                f"{session.path} cannot generate text: input {port.name!r} has shape {port.shape}, "
                "not (1 or any, tokens)"
            )


def _logits_name(session: Session) -> str:
    names = [port.name for port in session.outputs if not port.name.startswith(_PRESENT)]
    if "logits" in names:
        return "logits"
    if len(names) != 1:
        raise DeviceError(
            f"{session.path} cannot generate text: which of its outputs {', '.join(names)} are "
            "the logits?"
        )
    return names[0]


def _empty_cache(port: Port, batch: int = 1) -> Array:
    """Returns a cache of no tokens: the first open axis is the batch, the others count tokens."""
    first, *rest = port.shape
    sizes = [axis if isinstance(axis, int) else 0 for axis in rest]
    return np.zeros((first if isinstance(first, int) else batch, *sizes), port.dtype)


def _row(values: npt.NDArray[np.generic], port: Port) -> Array:
    """Returns a batch of one text in the dtype that the program takes."""
    return values[None].astype(port.dtype)


def _last(logits: Array, index: int) -> Logits:
    """Returns one token's row of (1, tokens, vocabulary) logits, or the row of (1, vocabulary).

    Raises:
        DeviceError: the output is neither.
    """
    if not np.issubdtype(logits.dtype, np.floating) or logits.ndim not in (2, 3) or not len(logits):
        raise DeviceError(f"the logits are {logits.dtype} of shape {logits.shape}")
    row = logits[0] if logits.ndim == 2 else logits[0, min(index, logits.shape[1] - 1)]
    wide: Logits = row.astype(np.float32)
    return wide
