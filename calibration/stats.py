"""Statistics: what one pass over the calibration data leaves behind; additive and mergeable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import numpy as safetensors

from lamella import atomic
from lamella.calibration import histogram, ranges
from lamella.calibration.data import DIGEST_SPAN
from lamella.calibration.observers import Array, merged, unpacked
from lamella.calibration.stored import StoredArrays
from lamella.errors import CalibrationError
from lamella.frontend.layers import Layer

Real = npt.NDArray[np.float32]

# Raised whenever the meaning of a stored array changes; older files and caches are then refused.
VERSION = 1


@dataclass(frozen=True, slots=True)
class Source:
    """What the statistics were taken from.

    `weights` is the digest of the module, `data` the sum of the digests of all batches modulo
    2^256 (so it neither depends on their order nor grows with their number), both hexadecimal.
    """

    weights: str
    data: str
    needs: tuple[str, ...]
    seed: int


@dataclass(frozen=True, slots=True)
class TensorStatistics:
    """The statistics of one activation tensor; its last axis, or axis 1 of images, is channels."""

    name: str
    arrays: Mapping[str, Array]

    @property
    def count(self) -> int:
        """Returns how many channel vectors (tokens, pixels) were seen."""
        return int(self._array("count", "ranges")[0])

    @property
    def low(self) -> float:
        """Returns the least value seen."""
        return float(self._array("low", "ranges")[0])

    @property
    def high(self) -> float:
        """Returns the greatest value seen."""
        return float(self._array("high", "ranges")[0])

    @property
    def mean(self) -> Real:
        """Returns the (channels,) mean."""
        return self._mean("sum")

    @property
    def abs_mean(self) -> Real:
        """Returns the (channels,) mean magnitude."""
        return self._mean("abs_sum")

    @property
    def abs_max(self) -> Real:
        """Returns the (channels,) greatest magnitude."""
        return self._array("abs_max", "channels").astype(np.float32)

    def percentile(self, p: float) -> tuple[float, float]:
        """Returns the (low, high) that leave `100 - p` per cent of the values beyond each end.

        100 gives the exact extremes; anything below has the error bound of the histogram.
        """
        if not 50 < p <= 100:
            raise CalibrationError(f"percentile {p:g} of {self.name} must lie in (50, 100]")
        if p == 100:
            return self.low, self.high
        counts = self._array("histogram", "ranges")
        ends = (histogram.quantile(counts, share) for share in (1 - p / 100, p / 100))
        low, high = (min(max(end, self.low), self.high) for end in ends)
        return low, high

    def mse_range(self, bits: int = 8) -> tuple[float, float]:
        """Returns the (low, high) of the `bits`-wide grid with the least squared error.

        The range holds 0.0.
        """
        return ranges.best_range(self._array("histogram", "ranges"), self.low, self.high, bits)

    def _mean(self, field: str) -> Real:
        return (self._array(field, "channels") / self.count).astype(np.float32)

    def _array(self, field: str, need: str) -> Array:
        if field not in self.arrays:
            raise CalibrationError(f"{self.name} has no {field}: calibrate with needs={need!r}")
        return self.arrays[field]


@dataclass(frozen=True, slots=True)
class Statistics:
    """All statistics of a model.

    `keys` maps a layer id to the names of its accumulators (`input`, `output`, `moment`, `rows`);
    layers that read the same tensor share one. `arrays` has every array, in memory or in a file, as
    `<key>/<field>`.
    """

    keys: Mapping[str, Mapping[str, str]]
    arrays: Mapping[str, Array]
    source: Source

    @property
    def fingerprint(self) -> str:
        """Returns the SHA-256, in hexadecimal, of what the statistics were taken from."""
        text = json.dumps({"version": VERSION, **asdict(self.source)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def input(self, layer: Layer | str) -> TensorStatistics:
        """Returns the statistics of the tensor that a layer reads."""
        return self._tensor(layer, "input", "ranges")

    def output(self, layer: Layer | str) -> TensorStatistics:
        """Returns the statistics of the tensor that a layer writes, bias included."""
        return self._tensor(layer, "output", "ranges")

    def moment(self, layer: Layer | str) -> Real:
        """Returns the mean of x x^T over the rows seen, float32 (problems, cols, cols).

        Problems are the groups of a convolution, 1 otherwise; columns are in the order of
        `weight.reshape(rows, cols)`.
        """
        arrays = self._arrays(layer, "moment", "moments")
        return unpacked(arrays["moment"]) / np.float32(arrays["count"][0])

    def row_counts(self, layer: Layer | str) -> npt.NDArray[np.int64]:
        """Returns how often each row of an embedding was looked up, int64 (rows,)."""
        return self._arrays(layer, "rows", "moments")["row_counts"]

    def merge(self, other: Statistics) -> Statistics:
        """Returns the statistics of both passes together.

        Counts, extremes and histograms are exactly those of one pass over both; sums are so up
        to floating-point rounding.

        Raises:
            CalibrationError: the two were not taken from the same weights in the same way.
        """
        data = (int(self.source.data, 16) + int(other.source.data, 16)) % DIGEST_SPAN
        source = replace(self.source, data=f"{data:064x}")
        if replace(other.source, data=source.data) != source or self.keys != other.keys:
            raise CalibrationError(
                "statistics of different weights, needs or seeds cannot be merged: "
                f"{self.source} and {other.source}"
            )
        return Statistics(self.keys, merged(dict(self.arrays), dict(other.arrays)), source)

    def save(self, path: Path | str) -> None:
        """Writes one safetensors file, atomically; equal statistics give equal bytes."""
        content = {"version": VERSION, "keys": self.keys, "source": asdict(self.source)}
        text = json.dumps({**content, "checksum": _checksum(self.arrays)}, sort_keys=True)
        # One metadata entry only: safetensors writes several in no fixed order.
        atomic.write(Path(path), safetensors.save(dict(self.arrays), {"lamella": text}))

    @staticmethod
    def load(path: Path | str) -> Statistics:
        """Opens a file that `save` wrote; arrays are read from it whenever they are used.

        Raises:
            CalibrationError: the file is missing, damaged, or of another version.
        """
        arrays = StoredArrays(Path(path))
        try:
            content = json.loads(arrays.metadata["lamella"])
            source = Source(**{**content["source"], "needs": tuple(content["source"]["needs"])})
            intact = content["version"] == VERSION and content["checksum"] == _checksum(arrays)
            keys = content["keys"]
        except (ValueError, KeyError, TypeError) as error:
            raise CalibrationError(f"cannot read the statistics in {path}: {error}") from error
        if not intact:
            raise CalibrationError(
                f"the statistics in {path} are damaged or of another version; calibrate again"
            )
        return Statistics(keys, arrays, source)

    def _tensor(self, layer: Layer | str, role: str, need: str) -> TensorStatistics:
        name = layer if isinstance(layer, str) else layer.id
        return TensorStatistics(f"the {role} of layer {name}", self._arrays(layer, role, need))

    def _arrays(self, layer: Layer | str, role: str, need: str) -> dict[str, Array]:
        """Returns the arrays of one accumulator by field name."""
        name = layer if isinstance(layer, str) else layer.id
        if name not in self.keys:
            raise CalibrationError(f"no statistics of a layer {name!r}")
        key = self.keys[name].get(role)
        if key is None:
            raise CalibrationError(
                f"layer {name} has no {role} statistics: it cannot have them, or calibrate was not "
                f"asked for {need!r} (it collected {', '.join(self.source.needs)})"
            )
        prefix = f"{key}/"
        found = {
            field.removeprefix(prefix): self.arrays[field]
            for field in self.arrays
            if field.startswith(prefix)
        }
        if not found:
            raise CalibrationError(
                f"the calibration batches never reached layer {name}; add batches that use it"
            )
        return found


def _checksum(arrays: Mapping[str, Array]) -> str:
    hasher = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        hasher.update(f"{name} {array.dtype} {array.shape}\n".encode())
        hasher.update(array.reshape(-1).view(np.uint8).data)
    return hasher.hexdigest()
