"""What an artifact holds, as values: manifest, program, attachments and canary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Bytes = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Canary:
    """Inputs, and the outputs that the program gave for them where it was packed.

    Each array is of the shape and dtype that the program takes or gives; a name maps to one.
    """

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything inside a .lamella file.

    `manifest` is JSON-ready; FORMAT.md lists its keys. `program` and `attachments` map file names
    to bytes; a reader gives read-only views of the mapped file. `canary` proves the program.
    """

    manifest: Mapping[str, Any]
    program: Mapping[str, Bytes]
    attachments: Mapping[str, Bytes]
    canary: Canary
