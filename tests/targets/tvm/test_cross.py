"""Mirrors targets/tvm/cross.py: arm64 programs under qemu against the same model on the host.

`make test-arm` sets LAMELLA_ARM=all, which adds the whole EfficientNet-Lite0.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("tvm", reason="apache-tvm is not installed")

from lamella.errors import DeviceError
from lamella.formats import parse
from lamella.frontend.model import Compressed, Model
from lamella.frontend.trace import trace
from lamella.grids import quantize
from lamella.targets.tvm import cross
from lamella.targets.tvm.cross import Tools
from lamella.targets.tvm.lower import TvmTarget
from lamella.targets.tvm.runner import open_program

SAMPLE = Path(__file__).parents[3] / "samples" / "vision" / "efficientnet_lite0.py"


@pytest.fixture(scope="module")
def tools() -> Tools:
    try:
        return cross.prepare()
    except DeviceError as error:
        pytest.skip(str(error))


def rounded(model: Model, *format_ids: str) -> Model:
    for at, layer in enumerate(model.layers):
        format = parse(format_ids[at % len(format_ids)])
        weight = quantize(model.weight(layer), format)
        model.set_weight(layer, weight.decode())
        model.packed[layer.id] = Compressed(format.id, weight)
    return model


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1),
        nn.ReLU6(),
        nn.Conv2d(16, 16, 3, 1, 1, groups=16),
        nn.ReLU6(),
        nn.Conv2d(16, 32, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    ).eval()


@pytest.mark.arm
def test_a_network_gives_on_arm64_what_it_gives_here(tools: Tools) -> None:
    x = torch.randn(6, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    model = rounded(trace(network(), (x[:1],)), "w8", "w5g16z", "w4g16", "w3g32")
    batches = [{"input": part.numpy()} for part in x.split(1)]
    arm = TvmTarget(triple="aarch64").lower(model).program
    got = np.concatenate([out["output_0"] for out in cross.run_under_qemu(arm, batches, tools)])
    here = open_program(TvmTarget(triple="x86_64").lower(model).program, 1)
    expected = np.concatenate([here.run(feeds)["output_0"] for feeds in batches])
    np.testing.assert_allclose(got, expected, atol=1e-4)
    np.testing.assert_array_equal(got.argmax(axis=1), expected.argmax(axis=1))


@pytest.mark.arm
def test_several_outputs_of_free_sizes_come_back_by_name(tools: Tools) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(9, 8)

        def forward(self, at: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"twice": at + at, "rows": self.table(at[:, 1:])}

    free = {0: torch.export.Dim("rows", max=64)}
    model = trace(Two(), (torch.ones(2, 3, dtype=torch.int64),), (free,))
    table = model.module.table.weight.detach().numpy()
    arm = TvmTarget(triple="aarch64").lower(model).program
    batches = [{"at": np.arange(3 * rows).reshape(rows, 3) % 9} for rows in (1, 4)]
    for feeds, got in zip(batches, cross.run_under_qemu(arm, batches, tools), strict=True):
        np.testing.assert_array_equal(got["twice"], 2 * feeds["at"])
        np.testing.assert_array_equal(got["rows"], table[feeds["at"][:, 1:]])


@pytest.mark.arm
def test_what_fails_under_qemu_is_told(tools: Tools) -> None:
    x = torch.ones(1, 16)
    arm = TvmTarget(triple="aarch64").lower(trace(nn.Sequential(nn.Linear(16, 8)), (x,))).program
    with pytest.raises(DeviceError, match=r"failed under qemu: arm_runner: .*fewer than"):
        cross.run_under_qemu({**arm, "params.bin": b""}, [{"input": x.numpy()}], tools)


def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cross.shutil, "which", lambda _: None)
    assert cross.missing().startswith("aarch64-linux-gnu-g++, qemu-aarch64")
    with pytest.raises(DeviceError, match=r"needs aarch64-linux-gnu-g\+\+, qemu-aarch64"):
        cross.prepare(tmp_path)


@pytest.mark.arm
@pytest.mark.timeout(1800)
def test_efficientnet_lite0_gives_the_same_top_1_on_20_crops(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.environ.get("LAMELLA_ARM") != "all":
        pytest.skip("minutes under qemu; make test-arm runs it (LAMELLA_ARM=all)")
    monkeypatch.syspath_prepend(str(SAMPLE.parent))
    sample = __import__(SAMPLE.stem)
    monkeypatch.delitem(sys.modules, SAMPLE.stem)
    model = rounded(trace(sample.model(), sample.example_inputs()), "w8", "w4g16")
    images = sample.crops(20, seed=2, left=False)
    batches = [{"image": part.numpy()} for part in images.split(1)]
    arm = TvmTarget(triple="aarch64").lower(model).program
    got = np.concatenate([out["output_0"] for out in cross.run_under_qemu(arm, batches, tools)])
    here = open_program(TvmTarget(triple="x86_64").lower(model).program)
    expected = np.concatenate([here.run(feeds)["output_0"] for feeds in batches])
    print(f"largest difference of a logit: {abs(got - expected).max():.2e}")
    np.testing.assert_allclose(got, expected, atol=1e-3)
    np.testing.assert_array_equal(got.argmax(axis=1), expected.argmax(axis=1))
