"""Mirrors calibration/stats.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lamella.calibration import histogram
from lamella.calibration.calibrate import calibrate
from lamella.calibration.stats import Statistics, TensorStatistics
from lamella.errors import CalibrationError
from lamella.frontend.model import Model


def tensor_statistics(values: np.ndarray) -> TensorStatistics:
    arrays = {
        "count": np.array([len(values)]),
        "low": values.min().reshape(1),
        "high": values.max().reshape(1),
        "histogram": histogram.count(torch.from_numpy(values)),
    }
    return TensorStatistics("the input of layer x", arrays)


def test_merging_two_halves_equals_one_pass(network: Model, images: list[Tensor]) -> None:
    merged = calibrate(network, images[:2]).merge(calibrate(network, images[2:]))
    whole = calibrate(network, images)
    assert merged.fingerprint == whole.fingerprint
    assert merged.arrays.keys() == whole.arrays.keys()
    for name, array in whole.arrays.items():
        assert merged.arrays[name].dtype == array.dtype
        if name.endswith(("/moment", "/sum", "/abs_sum")):
            # Four float32 sums in another order; sums of signed values may cancel.
            np.testing.assert_allclose(merged.arrays[name], array, rtol=1e-5, atol=1e-4)
        else:
            np.testing.assert_array_equal(merged.arrays[name], array)


def test_the_fingerprint_does_not_depend_on_the_order_of_batches(
    network: Model, images: list[Tensor]
) -> None:
    prints = [calibrate(network, order).fingerprint for order in (images, images[::-1], images[1:])]
    assert prints[0] == prints[1] != prints[2]
    network.module.get_parameter("head.bias").data += 1
    assert calibrate(network, images).fingerprint != prints[0]


def test_statistics_of_other_weights_or_needs_do_not_merge(
    network: Model, images: list[Tensor]
) -> None:
    one = calibrate(network, images)
    with pytest.raises(CalibrationError, match="cannot be merged"):
        one.merge(calibrate(network, images, ("ranges",)))
    network.module.get_parameter("head.bias").data += 1
    with pytest.raises(CalibrationError, match="cannot be merged"):
        one.merge(calibrate(network, images))


def test_a_saved_file_gives_the_same_statistics(
    decoder: Model, tokens: list[dict[str, Tensor]], tmp_path: Path
) -> None:
    stats = calibrate(decoder, tokens)
    stats.save(tmp_path / "stats")
    again = Statistics.load(tmp_path / "stats")
    assert again.fingerprint == stats.fingerprint
    assert again.keys == stats.keys
    np.testing.assert_array_equal(again.moment("head"), stats.moment("head"))
    assert again.input("blocks.0.down").mse_range() == stats.input("blocks.0.down").mse_range()
    again.merge(stats).save(tmp_path / "merged")
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "stats").read_bytes()


@pytest.mark.parametrize("place", [3, 40, 2000, -5])
def test_a_damaged_file_is_refused(
    network: Model, images: list[Tensor], tmp_path: Path, place: int
) -> None:
    path = tmp_path / "stats"
    calibrate(network, images[:1], ("channels",)).save(path)
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(CalibrationError, match="stats"):
        Statistics.load(path)
    path.write_bytes(content[:100])
    with pytest.raises(CalibrationError, match="cannot read the statistics"):
        Statistics.load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"cannot read the statistics in .*nothing"):
        Statistics.load(tmp_path / "nothing")


def test_statistics_stay_in_their_file(
    network: Model, images: list[Tensor], tmp_path: Path
) -> None:
    calibrate(network, images[:1]).save(tmp_path / "stats")
    stats = Statistics.load(tmp_path / "stats")
    (tmp_path / "stats").unlink()
    with pytest.raises(CalibrationError, match=r"cannot read the statistics in .*stats"):
        stats.moment("stem")


def test_an_unknown_layer_is_named(network: Model, images: list[Tensor]) -> None:
    stats = calibrate(network, images[:1])
    with pytest.raises(CalibrationError, match="no statistics of a layer 'tail'"):
        stats.moment("tail")
    with pytest.raises(CalibrationError, match="layer stem has no rows statistics"):
        stats.row_counts(network.layer("stem"))


@pytest.mark.parametrize("p", [99.0, 99.9, 99.99])
def test_percentiles_are_within_the_bound_of_the_histogram(p: float) -> None:
    values = np.random.default_rng(0).standard_t(3, 50_000).astype(np.float32)
    found = tensor_statistics(values).percentile(p)
    exact = [np.quantile(values, share, method="inverted_cdf") for share in (1 - p / 100, p / 100)]
    for ours, theirs in zip(found, exact, strict=True):
        assert abs(ours - theirs) <= histogram.RELATIVE_ERROR * abs(theirs)


def test_the_hundredth_percentile_is_the_exact_range() -> None:
    values = np.array([-1.7, 0.3, 2.9], np.float32)
    stats = tensor_statistics(values)
    assert stats.percentile(100) == (stats.low, stats.high) == (values[0], values[2])
    with pytest.raises(CalibrationError, match="percentile 40 of the input of layer x"):
        stats.percentile(40)
