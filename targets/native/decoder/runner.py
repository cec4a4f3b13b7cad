"""Runs the program of a decoder: whole texts at once, or a text in progress with its caches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lamella import _native
from lamella.errors import DeviceError
from lamella.runtime.sampling import Sampling

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class DecoderRunner:
    """An open program; each text has caches of its own and shares the weights."""

    program: bytes
    weights: npt.NDArray[np.uint8]
    threads: int

    def decoder(self, capacity: int | None = None) -> NativeDecoder:
        """Returns an empty text with room for `capacity` tokens, by default all that may be."""
        symbols = {} if capacity is None else {"capacity": capacity}
        try:
            generator = _native.Generator(self.program, self.weights, self.threads, symbols)
        except ValueError as error:
            raise DeviceError(str(error)) from error
        return NativeDecoder(generator)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Returns the logits of every token of a batch of texts, each computed by itself.

        Args:
            feeds: `input_ids`, (batch, tokens) int64.
        """
        ids = feeds["input_ids"]
        text = self.decoder()
        rows = [text.logits(row.tolist()) for row in ids]
        shape = (*ids.shape, text.vocabulary)
        return {"logits": np.stack(rows) if rows else np.zeros(shape, np.float32)}


class NativeDecoder:
    """A text in progress whose caches the engine keeps."""

    def __init__(self, generator: _native.Generator) -> None:
        self._generator = generator

    @property
    def vocabulary(self) -> int:
        """Returns how many tokens there are to choose from."""
        return self._generator.vocabulary

    def advance(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """Appends at least one token and returns the (vocabulary,) logits of the one after."""
        try:
            [row] = self._generator.append(list(ids))
        except ValueError as error:
            raise DeviceError(str(error)) from error
        logits: npt.NDArray[np.float32] = row
        return logits

    def tokens(self, ids: Sequence[int], sampling: Sampling) -> Iterator[int]:
        """Appends at least one token and yields those that the engine chooses after them.

        The same seed gives the same tokens on every processor.
        """
        chosen = _native.Sampling(
            sampling.temperature, sampling.top_k, sampling.top_p, sampling.seed
        )
        try:
            self._generator.extend(list(ids))
            while True:
                yield self._generator.next(chosen)
        except ValueError as error:
            raise DeviceError(str(error)) from error

    def logits(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """Returns the (tokens, vocabulary) logits of a whole text; the text before is dropped."""
        self._generator.reset()
        step = self._generator.most_rows
        parts = [ids[at : at + step] for at in range(0, len(ids), step)]
        try:
            rows = [self._generator.append(list(part), len(part)) for part in parts]
        except ValueError as error:
            raise DeviceError(str(error)) from error
        empty = np.zeros((0, self.vocabulary), np.float32)
        return np.concatenate([empty, *rows])
