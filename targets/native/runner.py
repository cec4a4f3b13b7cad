"""Runs a program of the native engine; needs numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lamella import _native
from lamella.errors import DeviceError
from lamella.targets.native.decoder.runner import DecoderRunner

PROGRAM, WEIGHTS = "program.bin", "weights.bin"

Array = npt.NDArray[Any]


class Runner:
    """An open program. `memory` are the bytes that it has: weights, arena, state, scratch."""

    def __init__(self, session: _native.Session) -> None:
        self.session = session

    @property
    def memory(self) -> dict[str, int]:
        """Returns bytes by their purpose, known before the first run."""
        return self.session.memory

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the program once.

        Args:
            feeds: one array per input, of exactly its type and of a shape that fits it.

        Raises:
            DeviceError: an input is missing, unknown, or does not fit.
        """
        try:
            return self.session.run(_contiguous(feeds))
        except ValueError as error:
            raise DeviceError(f"the engine cannot run the program: {error}") from error

    def calls(self) -> list[tuple[str, str]]:
        """Returns operation and layer of each call."""
        return self.session.calls()

    def profile(self, feeds: Mapping[str, Array]) -> list[float]:
        """Runs the program once, as `run`, and returns the seconds of each call."""
        return self.session.profile(_contiguous(feeds))


def open_program(files: Mapping[str, bytes], threads: int = 0) -> Runner | DecoderRunner:
    """Opens a program; its weights are read where they lie.

    Args:
        files: the files of the artifact's program section, program.bin and weights.bin.
        threads: of a run; 0 takes as many as there are processors.

    Raises:
        DeviceError: a file is missing, or the engine refuses it, or `threads` is negative.
    """
    if PROGRAM not in files or WEIGHTS not in files:
        raise DeviceError(
            f"the artifact has no {PROGRAM} and {WEIGHTS}, only: "
            f"{', '.join(sorted(files)) or 'nothing'}; it was lowered for another target"
        )
    if threads < 0:
        raise DeviceError(f"threads must be 0 (automatic) or more, not {threads}")
    weights = np.frombuffer(files[WEIGHTS], np.uint8)
    count = threads or _native.usable_processors()
    program = bytes(files[PROGRAM])
    try:
        session = _native.Session(program, weights, count)
    except ValueError as error:
        raise DeviceError(f"the engine refuses the program: {error}") from error
    return DecoderRunner(program, weights, count) if is_decoder(session) else Runner(session)


def is_decoder(session: _native.Session) -> bool:
    """Whether a program goes on with a text: its tokens are stored in caches."""
    return any(operation == "kv_store" for operation, _ in session.calls())


def _contiguous(feeds: Mapping[str, Array]) -> dict[str, Array]:
    return {name: np.ascontiguousarray(array) for name, array in feeds.items()}
