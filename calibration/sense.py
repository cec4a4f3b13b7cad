"""The true loss of compressing each layer alone, in each format, beside the cheap proxy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lamella.calibration import activations, data, loss, nearest, prefix
from lamella.calibration.capture import call, quiet
from lamella.calibration.data import Batch
from lamella.calibration.journal import Journal
from lamella.calibration.loss import Distance, Metric, Values
from lamella.calibration.nearest import Encode
from lamella.calibration.prefix import Prefix
from lamella.calibration.probe import Probe
from lamella.calibration.sensitivity import Sensitivity, SensitivityRow
from lamella.calibration.stats import Statistics
from lamella.errors import CalibrationError
from lamella.formats import Format
from lamella.frontend.layers import Layer
from lamella.frontend.model import ActivationGrid, Model
from lamella.progress import track

__all__ = ["LIMIT_BYTES", "Sensitivity", "SensitivityRow", "sense"]

# The float model's outputs are computed once and kept in float32 (rounding them to float16 would
# drown the divergence of 8-bit layers, which is near 1e-5); they may take this much memory.
LIMIT_BYTES = 1 << 30


@dataclass(slots=True)
class _Bench:
    """What all measurements share: the float outputs, and recordings of the blocks."""

    model: Model
    stats: Statistics
    batches: tuple[Batch, ...]
    metric: Metric
    encode: Encode
    references: list[Values]
    prefix: Prefix

    def run(self, index: int) -> Values:
        """Runs one batch through the module as it is now."""
        batch = self.batches[index]
        return loss.observed(call(self.model, batch, index), self.metric, batch)


def sense(
    model: Model,
    stats: Statistics,
    options: Sequence[Format] | Mapping[str, Sequence[Format]],
    batches: Iterable[Any],
    *,
    encode: Encode | None = None,
    journal: Path | str | None = None,
    metric: Metric | Literal["auto"] = "auto",
) -> Sensitivity:
    """Measures every layer in every format, one at a time, all others in floating point.

    A layer that is tied to another is measured through its owner: the shared weight changes for
    both. Formats with integer activations round the input of the layer as well: static ones on
    the grid of `stats.input(layer).mse_range()`, dynamic ones per token (per image for a
    convolution).

    Args:
        model: a traced float model; it is left as it was.
        stats: its statistics, with moments (and ranges for static formats).
        options: the formats to try on every layer, or a mapping from layer ids to the formats to
            try there; a layer that it leaves out is not measured.
        batches: a few batches, held in memory; the work grows with their number.
        encode: layer, weight (rows, cols), format, moment -> codes; by default rounding to
            nearest with searched scales, see `lamella.compression.encoder` for real solvers. An
            object names what its codes depend on in an attribute `key`.
        journal: a file that collects finished rows; a later call with the same arguments goes on
            from there and gives the same result.
        metric: "kl" compares logits, "relative" all outputs; "auto" is "kl" where a layer has
            the role `head`.

    Raises:
        CalibrationError: no options or batches, options for an unknown or tied layer, a batch that
            does not fit, outputs that take more than LIMIT_BYTES, or statistics that lack what is
            needed.
    """
    wanted = _pairs(model, options)
    if metric == "auto":
        metric = "kl" if any(layer.role == "head" for layer in model.layers) else "relative"
    read = tuple(data.read(item, model.module, index) for index, item in enumerate(batches))
    if not read:
        raise CalibrationError("no batches to measure the loss on; give at least one")
    bench = _Bench(model, stats, read, metric, encode or nearest.encode, [], Prefix())
    with quiet(model.module), Journal(journal, _job(bench)) as done:
        missing = {
            layer: [each for each in formats if (layer, each.id) not in done.rows]
            for layer, formats in wanted.items()
        }
        if any(missing.values()):
            _record(bench)
        for layer, formats in track(missing.items(), "sense", len(missing)):
            for row in _measure(bench, model.layer(layer), formats):
                done.append(row)
        pairs = [(layer, format.id) for layer, formats in wanted.items() for format in formats]
        return Sensitivity(metric, tuple(done.rows[pair] for pair in pairs))


def _pairs(
    model: Model, options: Sequence[Format] | Mapping[str, Sequence[Format]]
) -> dict[str, list[Format]]:
    """Maps the layers to measure, in the order of the table, to distinct formats."""
    owners = [layer.id for layer in model.layers if layer.tied_to is None]
    given = options if isinstance(options, Mapping) else dict.fromkeys(owners, options)
    strange = [name for name in given if name not in owners]
    if strange:
        raise CalibrationError(
            f"options for {strange[0]!r}, which is no layer with a weight of its own; the layers "
            f"are: {', '.join(owners)}"
        )
    formats = {name: list(dict.fromkeys(given[name])) for name in owners if given.get(name)}
    if not formats:
        raise CalibrationError("no formats to try; give for example w4g32 and w8")
    return formats


def _record(bench: _Bench) -> None:
    """Runs the float model: keeps its outputs, and those of its blocks if they can be skipped."""
    model = bench.model
    bench.prefix = prefix.find(model.module, model.layers, lambda: bench.run(0))
    for index in range(len(bench.batches)):
        with bench.prefix.recording():
            bench.references.append(bench.run(index))
        total = sum(tensor.nbytes for values in bench.references for tensor in values)
        if total > LIMIT_BYTES:
            raise CalibrationError(
                f"the outputs of batches 0 to {index} take {total >> 20} MiB, more than "
                f"{LIMIT_BYTES >> 20}; measure sensitivity on fewer or smaller batches"
            )
    blocks = len(bench.prefix.blocks)
    if not all(_skips_exactly(bench, start) for start in {blocks, blocks // 2} - {0}):
        bench.prefix.drop()


def _skips_exactly(bench: _Bench, start: int) -> bool:
    """Whether the first batch gives the same bits when the first blocks are skipped."""
    try:
        with bench.prefix.skipping(start, 0):
            found = bench.run(0)
    except CalibrationError:
        return False
    pairs = zip(found, bench.references[0], strict=True)
    return all(left.equal(right) for left, right in pairs)


def _measure(bench: _Bench, layer: Layer, formats: Sequence[Format]) -> Iterable[SensitivityRow]:
    """Yields the rows of one layer."""
    if not formats:
        return
    users = [layer, *(each for each in bench.model.layers if each.tied_to == layer.id)]
    weight = bench.model.weight(layer)
    moments = [bench.stats.moment(user) for user in users if user.kind != "embedding"]
    static = any(format.activation == "static" for format in formats)
    grids = _grids(bench.stats, users) if static else {}
    start = bench.prefix.start(users)
    for format in formats:
        moment = moments[0] if moments else None
        values = nearest.decoded(layer, weight, format, moment, bench.encode)
        proxy = sum(loss.trace_loss(weight, values, each) for each in moments)
        for user in users:
            if user.kind == "embedding":
                proxy += loss.lookup_loss(weight, values, bench.stats.row_counts(user))
        probe = Probe(bench.model, users, format, values, grids)
        yield _row(bench, probe, start, (layer.id, format.id, proxy))


def _row(bench: _Bench, probe: Probe, start: int, known: tuple[str, str, float]) -> SensitivityRow:
    """Runs all batches with one change in place."""
    distance = Distance(bench.metric)
    with probe:
        for index, batch in enumerate(bench.batches):
            probe.batch = batch
            with bench.prefix.skipping(start, index):
                distance.add(bench.references[index], bench.run(index))
    name, format, proxy = known
    return SensitivityRow(name, format, distance.value, proxy, probe.sqnr_db)


def _grids(stats: Statistics, users: Sequence[Layer]) -> dict[str, ActivationGrid]:
    return {
        user.id: activations.static_grid(*stats.input(user).mse_range())
        for user in users
        if user.kind != "embedding"
    }


def _job(bench: _Bench) -> str:
    """Returns a hash of everything that a row depends on."""
    function: Any = bench.encode
    name = getattr(function, "key", None) or function.__qualname__
    parts = [
        data.weights_digest(bench.model.module),
        [f"{batch.digest:064x}" for batch in bench.batches],
        bench.stats.fingerprint,
        bench.metric,
        f"{getattr(function, '__module__', '')}.{name}",
        np.__version__,
    ]
    return sha256(json.dumps(parts).encode()).hexdigest()
