"""One streaming pass over the calibration data; memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from pathlib import Path
from typing import Any

from lamella.calibration import cache as entries
from lamella.calibration import data
from lamella.calibration.capture import Capture, check_weights, quiet
from lamella.calibration.stats import Source, Statistics
from lamella.errors import CalibrationError
from lamella.frontend.model import Model
from lamella.progress import track

NEEDS = ("ranges", "moments", "channels")


def calibrate(
    model: Model,
    batches: Iterable[Any],
    needs: Sequence[str] = NEEDS,
    *,
    seed: int = 0,
    cache: Path | str | None = None,
) -> Statistics:
    """Runs every batch through the model once and returns what its layers saw.

    Tokens that a batch's `attention_mask` (batch, tokens) sets to 0 are left out of the
    statistics of linear and embedding layers.

    Args:
        model: a traced model; it is left as it was.
        batches: any number of batches of any shapes, each a tensor, a tuple or a dict.
        needs: what to collect: "ranges" (extremes and histogram of every layer's input and
            output), "moments" (mean x x^T of inputs, row counts of embeddings), "channels"
            (means and maxima per channel).
        seed: chooses the rows that a large convolution gives to its moment
            (`capture.ROWS_PER_BATCH`).
        cache: a folder; the same weights, data and needs are then read back from it. A damaged
            entry is made again. Batches that can be read only once are kept in memory.

    Raises:
        CalibrationError: there are no batches; one of them does not fit the model; NaN or
            infinity in weights, inputs or activations; an unknown need.
    """
    wanted = _checked(needs)
    check_weights(model)
    weights = data.weights_digest(model.module)
    if cache is None:
        return _measure(model, batches, Source(weights, "", wanted, seed))
    kept = list(batches) if isinstance(batches, Iterator) else batches
    total = sum(data.read(item, model.module, index).digest for index, item in enumerate(kept))
    source = Source(weights, f"{total % data.DIGEST_SPAN:064x}", wanted, seed)
    entry = entries.key(source, model.layers)
    found = entries.load(Path(cache), entry)
    if found is not None and found.source == source:
        return found
    return entries.store(Path(cache), entry, _measure(model, kept, source))


def _measure(model: Model, batches: Iterable[Any], source: Source) -> Statistics:
    total = 0
    count = len(batches) if isinstance(batches, Sized) else None
    seen = 0
    capture = Capture(model, frozenset(source.needs), source.seed)
    with quiet(model.module), capture:
        for index, item in enumerate(track(batches, "calibrate", count)):
            batch = data.read(item, model.module, index)
            capture.run(batch, index)
            total += batch.digest
            seen += 1
    if not seen:
        raise CalibrationError("the calibration set is empty; give at least one batch")
    digest = f"{total % data.DIGEST_SPAN:064x}"
    measured = Source(source.weights, digest, source.needs, source.seed)
    return Statistics(capture.keys, capture.arrays(), measured)


def _checked(needs: Sequence[str]) -> tuple[str, ...]:
    unknown = sorted(set(needs) - set(NEEDS))
    if unknown or not needs:
        raise CalibrationError(f"needs {list(needs)} must be some of {', '.join(NEEDS)}")
    return tuple(sorted(set(needs)))
