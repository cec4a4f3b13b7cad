"""The codes that a plan's own solver finds, for measuring layers one at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lamella.calibration.stats import Statistics
from lamella.compression import one_layer
from lamella.compression.compress import solved_layers
from lamella.compression.one_layer import Job
from lamella.formats import Format
from lamella.frontend.layers import Layer
from lamella.frontend.model import Model
from lamella.grids import Quantized, Real
from lamella.planner.spec import Settings


@dataclass(frozen=True, slots=True)
class Encoder:
    """Encodes a layer for `sense` exactly as `compress` will; both share the journal.

    A sensitivity then speaks of the codes that will be packed instead of rounding to nearest,
    and a plan made from it finds its layers solved. `solved` maps each layer that owns its weight
    to the one it is solved for; `key` names the settings.
    """

    job: Job
    solved: Mapping[str, Layer]
    key: str

    def __call__(
        self, layer: Layer, weight: Real, format: Format, moment: Real | None
    ) -> Quantized:
        """Returns the codes of a layer that owns its weight.

        Raises:
            CompressionError: the weight or its second moment is not finite.
        """
        found = one_layer.solve(self.job, self.solved[layer.id], format).solution.quantized
        assert found is not None, f"{format.id} has no codes"
        return found


def encoder(
    model: Model, settings: Settings, stats: Statistics, journal: Path | None = None
) -> Encoder:
    """Returns the encoder of `compress` with these settings; `journal` is the folder of both."""
    key = json.dumps(asdict(settings), sort_keys=True)
    job = one_layer.prepare(model, settings, stats, journal)
    return Encoder(job, solved_layers(model), key)
