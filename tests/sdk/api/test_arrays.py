"""Mirrors sdk/lamella/api/arrays.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lamella.api.arrays import read_arrays, write_arrays
from lamella.errors import InputError


def test_arrays_survive_a_file_with_their_types(tmp_path: Path) -> None:
    arrays = {"ids": np.arange(6).reshape(2, 3), "mask": np.ones(2, np.float32)}
    write_arrays(tmp_path / "x.npz", arrays)
    found = read_arrays(tmp_path / "x.npz")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_what_is_no_file_of_plain_arrays_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, made=np.array([{"a": 1}], dtype=object))
    wrong = [b"", b"text", (np.lib.format.magic(1, 0) + b"broken")]
    with pytest.raises(InputError, match=r"x\.npz is not an \.npz file of arrays"):
        read_arrays(path)
    for content in wrong:
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"x\.npz is not an \.npz file"):
            read_arrays(path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(InputError, match=r"one\.npy is not an \.npz file"):
        read_arrays(tmp_path / "one.npy")
    with pytest.raises(InputError, match="No such file"):
        read_arrays(tmp_path / "nowhere.npz")
