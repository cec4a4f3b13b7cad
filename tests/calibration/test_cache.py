"""Mirrors calibration/cache.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from lamella.calibration import calibrate as module
from lamella.calibration.calibrate import calibrate
from lamella.errors import CalibrationError, StorageError
from lamella.frontend.model import Model


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts how often data really went through a model."""
    done: list[int] = []
    real = module._measure
    monkeypatch.setattr(module, "_measure", lambda *args: (done.append(1), real(*args))[1])
    return done


def test_the_same_weights_and_data_are_measured_once(
    network: Model, images: list[Tensor], tmp_path: Path, passes: list[int]
) -> None:
    first = calibrate(network, images, cache=tmp_path / "deep" / "folder")
    second = calibrate(network, iter(images), cache=tmp_path / "deep" / "folder")
    assert len(passes) == 1
    assert second.fingerprint == first.fingerprint
    assert second.arrays.keys() == first.arrays.keys()


def test_other_weights_data_needs_or_seeds_are_measured_anew(
    network: Model, images: list[Tensor], tmp_path: Path, passes: list[int]
) -> None:
    calibrate(network, images, cache=tmp_path)
    calibrate(network, images[1:], cache=tmp_path)
    calibrate(network, images, ("ranges",), cache=tmp_path)
    calibrate(network, images, seed=1, cache=tmp_path)
    network.module.get_parameter("head.bias").data += 1
    calibrate(network, images, cache=tmp_path)
    assert len(passes) == len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("keep", [0, 50, 5000, -1])
def test_a_damaged_entry_is_made_again(
    network: Model, images: list[Tensor], tmp_path: Path, passes: list[int], keep: int
) -> None:
    calibrate(network, images, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    calibrate(network, images, cache=tmp_path)
    assert len(passes) == 2
    assert path.read_bytes() == whole


def test_a_folder_that_cannot_be_made_is_named(
    network: Model, images: list[Tensor], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot make the cache folder .*file"):
        calibrate(network, images, cache=tmp_path / "file" / "folder")


def test_a_bad_batch_is_refused_before_the_cache_is_asked(network: Model, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="holds nan"):
        calibrate(network, [torch.full((1, 3, 4, 4), torch.nan)], cache=tmp_path)
