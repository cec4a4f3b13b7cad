"""Mirrors sdk/lamella/compression/journal.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lamella import formats, grids
from lamella.compression import journal
from lamella.compression.journal import Entry
from lamella.compression.quantize.problem import Solution
from lamella.errors import StorageError


def entry(*, masked: bool) -> Entry:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(6, 64)).astype(np.float32)
    mask = rng.random((6, 64)) < 0.5 if masked else None
    quantized = grids.quantize(weight, formats.parse("w4g32z"), mask=mask)
    shift = rng.normal(size=6).astype(np.float32) if masked else None
    return Entry(Solution(quantized, None, 0.1 + 0.2), shift)


@pytest.mark.parametrize("masked", [False, True])
def test_what_is_read_is_what_was_written(tmp_path: Path, masked: bool) -> None:
    written = entry(masked=masked)
    journal.write(tmp_path / "deep" / "folder", "one", written)
    found = journal.read(tmp_path / "deep" / "folder", "one", formats.parse("w4g32z"))
    assert found is not None
    one, two = written.solution.quantized, found.solution.quantized
    assert one is not None
    assert two is not None
    np.testing.assert_array_equal(one.codes, two.codes)
    np.testing.assert_array_equal(one.decode(), two.decode())
    assert (one.mask is None) == (two.mask is None)
    if one.mask is not None and two.mask is not None:
        np.testing.assert_array_equal(one.mask, two.mask)
    assert written.solution.loss == found.solution.loss
    np.testing.assert_array_equal(written.shift, found.shift)


def test_float_layers_are_kept_as_values(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    journal.write(tmp_path, "one", Entry(Solution(None, values, 0.0), None))
    found = journal.read(tmp_path, "one", formats.F16)
    assert found is not None
    assert found.solution.quantized is None
    np.testing.assert_array_equal(found.solution.decode(), values)


def test_equal_entries_give_equal_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        journal.write(tmp_path, name, entry(masked=True))
    one, two = (tmp_path / f"{name}.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("keep", [0, 5, 100])
def test_a_damaged_or_missing_file_counts_as_absent(tmp_path: Path, keep: int) -> None:
    assert journal.read(tmp_path, "one", formats.F16) is None
    journal.write(tmp_path, "one", entry(masked=False))
    path = tmp_path / "one.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    assert journal.read(tmp_path, "one", formats.F16) is None


def test_the_name_depends_on_every_fact_and_every_value() -> None:
    weight = np.zeros((2, 3), np.float32)
    names = {
        journal.digest({"layer": "a"}, weight),
        journal.digest({"layer": "b"}, weight),
        journal.digest({"layer": "a"}, weight.reshape(3, 2)),
        journal.digest({"layer": "a"}, weight + np.float32(1e-30)),
        journal.digest({"layer": "a"}, None),
    }
    assert len(names) == 5


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot make the journal folder"):
        journal.write(tmp_path / "file" / "folder", "one", entry(masked=False))
