"""Mirrors native/base/half.h: the conversions against those of numpy."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from native.probes import SANITIZERS, build


def test_half_floats_are_converted_like_in_numpy(tmp_path: Path) -> None:
    every = np.arange(65536, dtype=np.uint16).view(np.float16)
    generator = np.random.default_rng(1)
    finite = np.sort(every[np.isfinite(every)].astype(np.float32))
    middle = (finite[1:] + finite[:-1]) / np.float32(2)
    # Half floats, the middles between neighbours, the floats beside both, and any floats.
    near = np.concatenate([finite, middle, np.array([65520, np.inf], np.float32)])
    around = [np.nextafter(near, np.float32(side)) for side in (-np.inf, np.inf)]
    random = generator.integers(0, 2**32, 100_000, dtype=np.uint32).view(np.float32)
    floats = np.concatenate([near, *around, random])

    program = build("g++", tmp_path, "probe_half", (), *SANITIZERS)
    done = subprocess.run([program], input=floats.tobytes(), capture_output=True, check=True)
    widened = np.frombuffer(done.stdout, np.float32, 65536)
    narrowed = np.frombuffer(done.stdout, np.float16, offset=4 * 65536)
    expected = every.astype(np.float32)
    np.testing.assert_array_equal(np.isnan(widened), np.isnan(expected))
    known = ~np.isnan(expected)
    np.testing.assert_array_equal(widened[known].view(np.uint32), expected[known].view(np.uint32))
    with np.errstate(over="ignore", invalid="ignore"):
        nearest = floats.astype(np.float16)
    np.testing.assert_array_equal(np.isnan(narrowed), np.isnan(nearest))
    known = ~np.isnan(nearest)
    np.testing.assert_array_equal(narrowed[known].view(np.uint16), nearest[known].view(np.uint16))
