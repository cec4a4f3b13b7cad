"""Mirrors calibration/observers.py."""

from __future__ import annotations

import numpy as np
import torch

from lamella.calibration.observers import (
    MERGE,
    MomentObserver,
    RowObserver,
    TensorObserver,
    merged,
    unpacked,
)


def rows(count: int, *shape: int) -> torch.Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(count))


def test_a_moment_is_the_sum_of_outer_products() -> None:
    observer = MomentObserver()
    parts = [rows(count, 3, 5) for count in (4, 9, 1)]
    for part in parts:
        observer.update(part)
    arrays = observer.arrays()
    stacked = torch.cat(parts).double().numpy()
    expected = np.einsum("npc,npd->pcd", stacked, stacked)
    # Fourteen float32 products and sums: each rounds by at most 2^-24 of the running size.
    size = np.einsum("npc,npd->pcd", abs(stacked), abs(stacked))
    assert (abs(unpacked(arrays["moment"]) - expected) <= 28 * 2.0**-24 * size).all()
    assert arrays["count"].tolist() == [14]


def test_a_moment_that_saw_nothing_hands_out_nothing() -> None:
    assert MomentObserver().arrays() == {}


def test_channel_sums_and_ranges_are_those_of_all_rows() -> None:
    observer = TensorObserver(ranges=True, channels=True)
    parts = [rows(count, 6) for count in (5, 2, 11)]
    for part in parts:
        observer.update(part)
    arrays = observer.arrays()
    whole = torch.cat(parts).double().numpy()
    assert arrays["count"][0] == 18
    assert arrays["low"][0] == whole.min()
    assert arrays["high"][0] == whole.max()
    np.testing.assert_array_equal(arrays["abs_max"], abs(whole).max(0))
    np.testing.assert_allclose(arrays["sum"], whole.sum(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(arrays["abs_sum"], abs(whole).sum(0), rtol=1e-12)
    assert arrays["histogram"].sum() == whole.size


def test_memory_does_not_grow_with_the_number_of_batches() -> None:
    observers = (
        TensorObserver(ranges=True, channels=True),
        MomentObserver(),
        RowObserver(16),
    )
    sizes = []
    for steps in (1, 40):
        for step in range(steps):
            observers[0].update(rows(3 + step, 6))
            observers[1].update(rows(3 + step, 1, 6))
            observers[2].update(torch.arange(16))
        sizes.append(
            [
                {name: array.nbytes for name, array in observers[0].arrays().items()},
                observers[1]._sum.nbytes,
                observers[2].arrays()["row_counts"].nbytes,
            ]
        )
    assert sizes[0] == sizes[1]


def test_every_array_has_a_rule_for_merging() -> None:
    tensor, moment, row = (
        TensorObserver(ranges=True, channels=True),
        MomentObserver(),
        RowObserver(2),
    )
    tensor.update(rows(2, 3))
    moment.update(rows(2, 1, 3))
    names = tensor.arrays().keys() | moment.arrays().keys() | row.arrays().keys()
    assert names == MERGE.keys()


def test_a_statistic_that_only_one_side_saw_is_kept() -> None:
    left, right = {"a/low": np.array([1.0])}, {"a/low": np.array([-1.0]), "b/count": np.array([3])}
    assert merged(left, right) == {"a/low": np.array([-1.0]), "b/count": np.array([3])}
