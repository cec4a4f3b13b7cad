"""Compares what a program gives here with what it gave where it was packed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lamella.artifact.contents import Array
from lamella.artifact.manifest import Tolerance

Real = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Verification:
    """The verdict on a canary.

    `max_abs_error` is the largest difference of any element, infinite where shapes or names
    differ; `bound` is what the manifest allows. `cosine` is the least cosine of any whole output,
    `min_cosine` its bound if there is one. `detail` is a sentence.
    """

    ok: bool
    max_abs_error: float
    bound: float
    cosine: float
    min_cosine: float | None
    detail: str

    def row(self) -> dict[str, Any]:
        """Returns plain values for JSON, which has no infinity: null stands for it."""
        values = asdict(self)
        if math.isinf(self.max_abs_error):
            values["max_abs_error"] = None
        return values


def compare(
    expected: Mapping[str, Array], found: Mapping[str, Array], tolerance: Tolerance
) -> Verification:
    """Compares outputs by name; equal infinities and NaN in the same place count as equal."""
    worst, least, name = 0.0, 1.0, ""
    for key, wanted in expected.items():
        flaw = _mismatch(key, wanted, found.get(key))
        if flaw:
            return _verdict(math.inf, -1.0, tolerance, flaw)
        error, cosine = _distance(wanted, found[key])
        if not name or error > worst:
            worst, name = error, key
        least = min(least, cosine)
    detail = f"the largest error is {worst:.3g} in output {name!r}, the least cosine {least:.6f}"
    return _verdict(worst, least, tolerance, detail)


def _verdict(error: float, cosine: float, tolerance: Tolerance, detail: str) -> Verification:
    bound, lowest = tolerance.max_abs_error, tolerance.min_cosine
    ok = error <= bound and (lowest is None or cosine >= lowest)
    asked = f"; allowed is an error of {bound:.3g}"
    asked += "" if lowest is None else f" and a cosine of {lowest:.6f}"
    return Verification(ok, error, bound, cosine, lowest, detail + asked)


def _mismatch(name: str, expected: Array, found: Array | None) -> str:
    if found is None:
        return f"output {name!r} is missing"
    if found.shape != expected.shape or found.dtype.name != expected.dtype.name:
        return (
            f"output {name!r} is {found.dtype.name} of shape {found.shape}, not "
            f"{expected.dtype.name} of shape {expected.shape}"
        )
    return ""


def _distance(expected: Array, found: Array) -> tuple[float, float]:
    """Returns the largest absolute error and the cosine of two arrays of one shape."""
    a: Real = expected.astype(np.float64).ravel()
    b: Real = found.astype(np.float64).ravel()
    equal = (expected == found).ravel() | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        difference = np.abs(np.where(equal, 0.0, a - b))
    error = float(np.nan_to_num(difference, nan=np.inf, posinf=np.inf).max(initial=0.0))
    finite = np.isfinite(a) & np.isfinite(b)
    return error, _cosine(a[finite], b[finite])


def _cosine(a: Real, b: Real) -> float:
    if np.array_equal(a, b):
        return 1.0
    # Scaled first, so that squares of the largest doubles stay finite.
    a, b = (x / max(float(np.abs(x).max(initial=0.0)), np.finfo(np.float64).tiny) for x in (a, b))
    norm = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / norm if norm else 0.0
