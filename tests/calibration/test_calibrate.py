"""Mirrors calibration/calibrate.py and calibration/capture.py, on traced models."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lamella.calibration import capture
from lamella.calibration.calibrate import calibrate
from lamella.errors import CalibrationError
from lamella.frontend.model import Model


def seen(model: Model, batches: list[Any], layer: str) -> tuple[list[Tensor], list[Tensor]]:
    """Returns what one layer reads and writes on every batch."""
    read, written = [], []

    def keep(_: torch.nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        read.append(args[0])
        written.append(output)

    handle = model.module.get_submodule(layer).register_forward_hook(keep)
    for batch in batches:
        model.module(**batch) if isinstance(batch, dict) else model.module(batch)
    handle.remove()
    return [each.detach() for each in read], [each.detach() for each in written]


def assert_is_moment(found: np.ndarray, rows: np.ndarray) -> None:
    """Compares with float64; float32 rounds each of the products and sums by 2^-24."""
    expected = np.einsum("npc,npd->pcd", rows, rows) / len(rows)
    size = np.einsum("npc,npd->pcd", abs(rows), abs(rows)) / len(rows)
    assert found.shape == expected.shape
    assert (abs(found - expected) <= 2 * len(rows) * 2.0**-24 * size).all()


def test_the_moment_of_a_linear_layer_is_the_mean_outer_product(
    network: Model, images: list[Tensor]
) -> None:
    read, _ = seen(network, images, "head")
    rows = torch.cat(read).double().numpy()[:, None]
    assert_is_moment(calibrate(network, images).moment("head"), rows)


@pytest.mark.parametrize("layer", ["stem", "depth", "pair", "line"])
def test_the_moment_of_a_convolution_is_that_of_its_patches(
    network: Model, images: list[Tensor], layer: str
) -> None:
    read, _ = seen(network, images, layer)
    row = network.layer(layer)
    module = network.module.get_submodule(layer)
    flat = layer == "line"
    patches = []
    for image in read:
        wide = image.unsqueeze(2) if flat else image
        one = [(1, *n) if flat else n for n in (module.kernel_size, module.stride, module.dilation)]
        padding = (0, *module.padding) if flat else module.padding
        columns = torch.nn.functional.unfold(wide, one[0], one[2], padding, one[1])
        patches.append(columns.movedim(1, 2).reshape(-1, module.groups, row.cols))
    stats = calibrate(network, images)
    assert stats.moment(layer).shape == (module.groups, row.cols, row.cols)
    assert_is_moment(stats.moment(layer), torch.cat(patches).double().numpy())


def test_channel_statistics_are_those_of_numpy(network: Model, images: list[Tensor]) -> None:
    stats = calibrate(network, images)
    for layer in ("stem", "line", "head"):
        for tensors, found in zip(
            seen(network, images, layer), (stats.input(layer), stats.output(layer)), strict=True
        ):
            axis = -1 if layer == "head" else 1
            values = torch.cat(tensors).movedim(axis, -1).double().numpy()
            rows = values.reshape(-1, values.shape[-1])
            assert found.count == len(rows)
            assert (found.low, found.high) == (rows.min(), rows.max())
            assert found.mean.dtype == found.abs_mean.dtype == found.abs_max.dtype == np.float32
            np.testing.assert_allclose(found.mean, rows.mean(0), rtol=1e-6, atol=1e-7)
            np.testing.assert_allclose(found.abs_mean, abs(rows).mean(0), rtol=1e-6)
            np.testing.assert_array_equal(found.abs_max, abs(rows).max(0).astype(np.float32))


def test_padding_tokens_enter_no_statistics(
    decoder: Model, tokens: list[dict[str, Tensor]]
) -> None:
    # Only the ids that padding holds differ, and the module looks at no padding.
    other = copy.deepcopy(tokens)
    for batch in other:
        batch["input_ids"][batch["attention_mask"] == 0] = 39
    left, right = calibrate(decoder, tokens), calibrate(decoder, other)
    for name, array in left.arrays.items():
        np.testing.assert_array_equal(array, right.arrays[name])
    assert left.input("blocks.0.gate").count == sum(int(b["attention_mask"].sum()) for b in tokens)
    assert left.fingerprint != right.fingerprint


def test_an_embedding_counts_its_rows(decoder: Model, tokens: list[dict[str, Tensor]]) -> None:
    ids = np.concatenate([b["input_ids"][b["attention_mask"] == 1].numpy() for b in tokens])
    counts = calibrate(decoder, tokens).row_counts("embed")
    np.testing.assert_array_equal(counts, np.bincount(ids, minlength=40))


def test_layers_that_read_the_same_tensor_share_one_accumulator(
    decoder: Model, tokens: list[dict[str, Tensor]]
) -> None:
    stats = calibrate(decoder, tokens)
    assert stats.keys["blocks.1.gate"]["moment"] == stats.keys["blocks.1.up"]["moment"]
    assert stats.keys["blocks.1.gate"]["output"] != stats.keys["blocks.1.up"]["output"]
    assert stats.keys["blocks.0.gate"]["moment"] != stats.keys["blocks.1.gate"]["moment"]
    moments = [name for name in stats.arrays if name.endswith("/moment")]
    assert len(moments) == 2 * 3 + 1


def test_the_size_of_statistics_does_not_depend_on_the_number_of_batches(
    network: Model, images: list[Tensor]
) -> None:
    few, many = calibrate(network, images[:1]), calibrate(network, images * 5)
    sizes = [{name: array.nbytes for name, array in s.arrays.items()} for s in (few, many)]
    assert sizes[0] == sizes[1]


def test_batches_may_differ_in_shape_and_come_from_a_generator(network: Model) -> None:
    def stream() -> Iterator[Tensor]:
        for seed, (count, height, width) in enumerate([(1, 12, 10), (3, 9, 14), (2, 20, 7)]):
            yield torch.randn(
                count, 3, height, width, generator=torch.Generator().manual_seed(seed)
            )

    stats = calibrate(network, stream())
    read, _ = seen(network, list(stream()), "head")
    assert_is_moment(stats.moment("head"), torch.cat(read).double().numpy()[:, None])


def test_a_large_convolution_gives_a_seeded_choice_of_rows(
    network: Model, images: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = calibrate(network, images).moment("stem")
    monkeypatch.setattr(capture, "ROWS_PER_BATCH", 40)
    sampled = [calibrate(network, images, seed=seed) for seed in (0, 0, 1)]
    moments = [stats.moment("stem") for stats in sampled]
    assert sampled[0].arrays[f"{sampled[0].keys['stem']['moment']}/count"][0] == 40 * len(images)
    np.testing.assert_array_equal(moments[0], moments[1])
    assert (moments[0] != moments[2]).any()
    # 160 of 240 rows without replacement: a mean of 9 * 3 squares is within a fifth of the truth.
    assert np.trace(moments[0][0]) == pytest.approx(np.trace(whole[0]), rel=0.2)


def test_a_sampled_pass_is_additive(
    network: Model, images: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "ROWS_PER_BATCH", 40)
    parts = calibrate(network, images[:1]).merge(calibrate(network, images[1:]))
    whole = calibrate(network, images)
    np.testing.assert_allclose(parts.moment("stem"), whole.moment("stem"), rtol=1e-5, atol=1e-6)


def test_only_what_is_needed_is_collected(network: Model, images: list[Tensor]) -> None:
    stats = calibrate(network, images, ("channels",))
    assert stats.input("head").mean.shape == (5,)
    with pytest.raises(CalibrationError, match="needs='ranges'"):
        stats.input("head").mse_range()
    with pytest.raises(CalibrationError, match="not asked for 'moments'"):
        stats.moment("head")
    with pytest.raises(CalibrationError, match=r"needs \['moment'\] must be some of ranges"):
        calibrate(network, images, ("moment",))


def test_an_empty_calibration_set_is_refused(network: Model, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="the calibration set is empty"):
        calibrate(network, [])
    with pytest.raises(CalibrationError, match="the calibration set is empty"):
        calibrate(network, iter([]), cache=tmp_path)


def test_nan_in_an_input_is_named(network: Model, images: list[Tensor]) -> None:
    images[2][1, 0, 3, 4] = torch.nan
    with pytest.raises(CalibrationError, match=r"'image' of batch 2 holds nan at \[1, 0, 3, 4\]"):
        calibrate(network, images)


def test_nan_in_a_weight_is_named(network: Model, images: list[Tensor]) -> None:
    network.module.get_parameter("pair.weight").data[0, 0, 0, 0] = torch.nan
    with pytest.raises(CalibrationError, match=r"weight pair\.weight holds NaN or infinity in 1 "):
        calibrate(network, images)


@pytest.mark.parametrize("needs", [("ranges",), ("moments",)])
def test_the_first_layer_with_an_infinite_activation_is_named(
    network: Model, images: list[Tensor], needs: tuple[str, ...]
) -> None:
    network.module.get_parameter("depth.weight").data.mul_(1e30)
    network.module.get_parameter("stem.weight").data.mul_(1e30)
    with pytest.raises(CalibrationError, match="layer depth writes NaN or infinity on batch 0"):
        calibrate(network, images, needs)
    assert not any(part._forward_hooks for part in network.module.modules())
    assert not any(part._forward_pre_hooks for part in network.module.modules())


def test_a_batch_of_the_wrong_shape_is_named(network: Model, images: list[Tensor]) -> None:
    with pytest.raises(
        CalibrationError, match=r"batch 1 \(0: float32\[2, 4, 5, 5\]\) does not fit the model, .*"
    ) as caught:
        calibrate(network, [images[0], torch.zeros(2, 4, 5, 5)])
    assert "(0: float32[2, 3, 12, 10])" in str(caught.value)


def test_an_unknown_token_does_not_fit_the_model(
    decoder: Model, tokens: list[dict[str, Tensor]]
) -> None:
    tokens[0]["input_ids"][0, 0] = 40
    with pytest.raises(CalibrationError, match=r"does not fit the model, .*: index out of range"):
        calibrate(decoder, tokens)


def test_the_model_is_left_as_it_was(network: Model, images: list[Tensor]) -> None:
    network.module.train()
    network.module.stem.eval()
    before = copy.deepcopy(network.module.state_dict())
    calibrate(network, images)
    assert all(value.equal(before[name]) for name, value in network.module.state_dict().items())
    assert network.module.training
    assert not network.module.stem.training
    assert not any(part._forward_hooks for part in network.module.modules())


def test_two_runs_give_equal_bytes(network: Model, images: list[Tensor], tmp_path: Path) -> None:
    for name in ("a", "b"):
        calibrate(network, images).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
