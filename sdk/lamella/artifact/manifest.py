"""What the manifest must hold for the rest of lamella to trust it.

Mirrors FORMAT.md, section 5. Keys that are not named there are free.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lamella.artifact.canary import DTYPES, MAX_RANK, MAX_TEXT
from lamella.artifact.contents import Array, Canary
from lamella.errors import ArtifactError

_MAX_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the program; an axis is a size, a name, or None where unknown."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far outputs may lie from the canary's on another processor.

    `max_abs_error` bounds every element; `min_cosine`, if given, bounds every whole output.
    """

    max_abs_error: float
    min_cosine: float | None = None


def check(manifest: Any, canary: Canary | None, where: str) -> None:
    """Checks every key that FORMAT.md names, and the canary's names and dtypes against it.

    Raises:
        ArtifactError: names the key and what it should hold.
    """
    if not isinstance(manifest, Mapping):
        raise ArtifactError(f"{where}: the manifest is not a JSON object")
    for key in ("lamella", "target"):
        if not _is_text(manifest.get(key)):
            raise ArtifactError(f"{where}: manifest key {key!r} must be a text")
    model = manifest.get("model")
    if not isinstance(model, Mapping) or not _is_text(model.get("name")):
        raise ArtifactError(f"{where}: manifest key 'model' must be an object with a name")
    _check_layers(manifest.get("layers"), where)
    tolerance(manifest, where)
    _check_generation(manifest.get("generation", {}), where)
    for side in ("inputs", "outputs"):
        found = ports(manifest, side, where)
        if canary is not None:
            _check_canary(found, getattr(canary, side), f"{where}: canary {side}")


def ports(manifest: Mapping[str, Any], side: str, where: str) -> tuple[Port, ...]:
    """Returns the program's "inputs" or "outputs"."""
    found = tuple(_ports(manifest.get(side), f"{where}: manifest key {side!r}"))
    names = [port.name for port in found]
    if len(set(names)) < len(names):
        raise ArtifactError(f"{where}: manifest key {side!r} names a tensor twice")
    if side == "outputs" and not found:
        raise ArtifactError(f"{where}: manifest key 'outputs' is empty; the program has no result")
    return found


def tolerance(manifest: Mapping[str, Any], where: str) -> Tolerance:
    """Returns the bounds that the canary must meet."""
    row = manifest.get("canary")
    if not isinstance(row, Mapping) or not _is_number(row.get("max_abs_error")):
        raise ArtifactError(f"{where}: manifest key 'canary' must hold the number max_abs_error")
    error, cosine = row["max_abs_error"], row.get("min_cosine")
    if error < 0:
        raise ArtifactError(f"{where}: the canary's max_abs_error is {error}, below 0")
    if cosine is not None and not (_is_number(cosine) and -1 <= cosine <= 1):
        raise ArtifactError(f"{where}: the canary's min_cosine {cosine!r:.40} is not in [-1, 1]")
    return Tolerance(float(error), None if cosine is None else float(cosine))


def _ports(rows: Any, where: str) -> Iterator[Port]:
    if not isinstance(rows, list | tuple) or len(rows) > _MAX_ROWS:
        raise ArtifactError(f"{where} must be a list of at most {_MAX_ROWS} tensors")
    for row in rows:
        if not isinstance(row, Mapping) or not _is_text(row.get("name")):
            raise ArtifactError(f"{where}: a tensor without a name")
        name, dtype, shape = row["name"], row.get("dtype"), row.get("shape")
        if not isinstance(dtype, str) or dtype not in DTYPES:
            raise ArtifactError(f"{where}: tensor {name!r} has the unknown dtype {dtype!r:.40}")
        if not isinstance(shape, list | tuple) or len(shape) > MAX_RANK:
            raise ArtifactError(f"{where}: tensor {name!r} needs a shape of at most {MAX_RANK}")
        if not all(axis is None or _is_text(axis) or _is_count(axis) for axis in shape):
            raise ArtifactError(
                f"{where}: tensor {name!r} has the shape {shape!r:.80}; an axis is a size, a name "
                "or null"
            )
        yield Port(name, dtype, tuple(shape))


def _check_layers(rows: Any, where: str) -> None:
    if not isinstance(rows, list | tuple) or len(rows) > _MAX_ROWS:
        raise ArtifactError(f"{where}: manifest key 'layers' must be a list of layers")
    seen: set[str] = set()
    for row in rows:
        fits = isinstance(row, Mapping) and _is_text(row.get("id")) and _is_text(row.get("format"))
        if not fits or not _is_count(row.get("nbytes")):
            raise ArtifactError(
                f"{where}: a layer of the manifest needs id and format (texts) and nbytes (a count)"
            )
        if row["id"] in seen:
            raise ArtifactError(f"{where}: the manifest lists layer {row['id']!r} twice")
        seen.add(row["id"])


def _check_generation(row: Any, where: str) -> None:
    if not isinstance(row, Mapping):
        raise ArtifactError(f"{where}: manifest key 'generation' must be an object")
    ids = row.get("eos_token_ids", [])
    if not isinstance(ids, list | tuple) or not all(map(_is_count, ids)):
        raise ArtifactError(f"{where}: generation.eos_token_ids must be a list of token ids")
    for key in ("bos_token_id", "context_length"):
        if row.get(key) is not None and not _is_count(row[key]):
            raise ArtifactError(f"{where}: generation.{key} must be a count")


def _check_canary(found: tuple[Port, ...], arrays: Mapping[str, Array], where: str) -> None:
    expected = {port.name: port for port in found}
    if set(expected) != set(arrays):
        raise ArtifactError(
            f"{where} are {_names(arrays)}, but the manifest says {_names(expected)}"
        )
    for name, array in arrays.items():
        port = expected[name]
        if array.dtype.name != port.dtype or array.ndim != len(port.shape):
            raise ArtifactError(
                f"{where}: {name!r} is {array.dtype.name} of rank {array.ndim}, but the manifest "
                f"says {port.dtype} of rank {len(port.shape)}"
            )


def _names(names: Mapping[str, Any]) -> str:
    text = ", ".join(sorted(names)) or "none"
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}..."


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= MAX_TEXT


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
