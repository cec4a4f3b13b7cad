"""Sensitivity: what every layer loses in every format, as a table that can be read and saved."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from rich.table import Table
from scipy.stats import spearmanr

from lamella import atomic
from lamella.errors import CalibrationError


@dataclass(frozen=True, slots=True)
class SensitivityRow:
    """One layer in one format, everything else in floating point.

    `loss` is the distance of the model's outputs (see `Sensitivity.metric`), `proxy` is
    tr(dW H dW^T) / tr(W H W^T), `sqnr_db` the signal-to-noise ratio of the layer's own output.
    """

    layer: str
    format: str
    loss: float
    proxy: float
    sqnr_db: float


@dataclass(frozen=True)
class Sensitivity:
    """The rows of all layers that own a weight; tied layers are measured through the owner.

    `metric` is "kl" (mean KL divergence of the logits, in nats) or "relative" (squared error of
    the outputs over their energy).
    """

    metric: str
    rows: tuple[SensitivityRow, ...]

    def loss(self, layer: str, format: str) -> float:
        """Returns the loss of one layer id in one format id.

        Raises:
            CalibrationError: the pair was not measured.
        """
        if (layer, format) not in self._losses:
            raise CalibrationError(f"the loss of layer {layer} in format {format} was not measured")
        return self._losses[layer, format]

    def rank_correlation(self) -> dict[str, float]:
        """Returns Spearman's correlation of proxy and loss: for "all" rows and per format.

        A format with fewer than three rows, or with equal values only, has no ranks to compare
        and is left out.
        """
        names = ["all", *dict.fromkeys(row.format for row in self.rows)]
        found = {}
        for name in names:
            rows = [row for row in self.rows if name in ("all", row.format)]
            proxies, losses = [row.proxy for row in rows], [row.loss for row in rows]
            if len(rows) > 2 and len(set(proxies)) > 1 and len(set(losses)) > 1:
                found[name] = float(spearmanr(proxies, losses).statistic)
        return found

    def save(self, path: Path | str) -> None:
        """Writes JSON, atomically."""
        content = {"metric": self.metric, "rows": [asdict(row) for row in self.rows]}
        atomic.write(Path(path), (json.dumps(content, indent=1) + "\n").encode())

    @staticmethod
    def load(path: Path | str) -> Sensitivity:
        """Reads a file that `save` wrote.

        Raises:
            CalibrationError: the file is missing or malformed.
        """
        try:
            content = json.loads(Path(path).read_text())
            rows = tuple(SensitivityRow(**row) for row in content["rows"])
            return Sensitivity(content["metric"], rows)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CalibrationError(f"cannot read the sensitivity in {path}: {error}") from error

    def table(self) -> Table:
        """Returns losses by layer and format for a terminal, the most sensitive layer first."""
        names = list(dict.fromkeys(row.format for row in self.rows))
        ranks = self.rank_correlation()
        unit = "mean KL in nats" if self.metric == "kl" else "relative squared error"
        table = Table(title=f"loss of each layer alone ({unit})")
        table.add_column("layer")
        for name in names:
            rank = f"\nrank {ranks[name]:.2f}" if name in ranks else ""
            table.add_column(name + rank, justify="right")
        if "all" in ranks:
            table.caption = f"rank correlation of the cheap proxy with the loss: {ranks['all']:.2f}"
        layers = dict.fromkeys(row.layer for row in self.rows)
        worst = {
            layer: np.nanmax([self._losses.get((layer, name), np.nan) for name in names])
            for layer in layers
        }
        for layer in sorted(layers, key=lambda each: -worst[each]):
            found = [self._losses.get((layer, name)) for name in names]
            table.add_row(layer, *("" if loss is None else f"{loss:.3g}" for loss in found))
        return table

    @cached_property
    def _losses(self) -> dict[tuple[str, str], float]:
        return {(row.layer, row.format): row.loss for row in self.rows}
