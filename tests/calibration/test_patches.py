"""Mirrors calibration/patches.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lamella.calibration import patches
from lamella.frontend.layers import Convolution


def geometry(module: nn.Conv1d | nn.Conv2d) -> Convolution:
    assert not isinstance(module.padding, str)
    return Convolution(
        tuple(module.kernel_size),
        tuple(module.stride),
        tuple(module.padding),
        tuple(module.dilation),
        module.groups,
    )


def by_loops(images: np.ndarray, at: patches.Window) -> np.ndarray:
    """Collects every patch element by element."""
    batch, channels, height, width = images.shape
    down, right = at.padding
    padded = np.zeros((batch, channels, height + 2 * down, width + 2 * right), images.dtype)
    padded[:, :, down : down + height, right : right + width] = images
    _, tall, wide = at.positions(torch.Size(images.shape))
    each = channels // at.groups
    rows = []
    for n in range(batch):
        for y in range(tall):
            for x in range(wide):
                row = [
                    padded[
                        n,
                        c,
                        y * at.stride[0] + i * at.dilation[0],
                        x * at.stride[1] + j * at.dilation[1],
                    ]
                    for c in range(channels)
                    for i in range(at.kernel[0])
                    for j in range(at.kernel[1])
                ]
                rows.append(np.array(row).reshape(at.groups, each * at.kernel[0] * at.kernel[1]))
    return np.array(rows)


CASES = [
    nn.Conv2d(4, 6, 3),
    nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
    nn.Conv2d(4, 8, 3, padding=1, groups=2),
    nn.Conv2d(4, 4, 5, padding=2, groups=4),
    nn.Conv2d(4, 6, 1),
]


@pytest.mark.parametrize("module", CASES, ids=str)
def test_patches_are_those_of_an_explicit_loop(module: nn.Conv2d) -> None:
    images = torch.randn(2, 4, 7, 8, generator=torch.Generator().manual_seed(0))
    at = patches.window(geometry(module))
    np.testing.assert_array_equal(patches.gather(images, at).numpy(), by_loops(images.numpy(), at))


@pytest.mark.parametrize("module", [*CASES, nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2)])
def test_patches_times_weights_are_the_convolution(module: nn.Conv1d | nn.Conv2d) -> None:
    flat = isinstance(module, nn.Conv1d)
    shape = (2, 4, 9) if flat else (2, 4, 7, 8)
    read = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    at = patches.window(geometry(module))
    kind = "conv1d" if flat else "conv2d"
    rows = patches.gather(patches.images(read, kind), at)
    weight = module.weight.detach().reshape(module.groups, -1, rows.shape[-1])
    product = torch.einsum("npc,poc->npo", rows, weight).flatten(1) + module.bias.detach()
    expected = module(read).detach().movedim(1, -1).reshape(-1, module.out_channels)
    torch.testing.assert_close(product, expected)


def test_chosen_positions_are_rows_of_the_whole() -> None:
    images = torch.randn(3, 4, 7, 8, generator=torch.Generator().manual_seed(0))
    at = patches.window(geometry(CASES[1]))
    chosen = torch.tensor([5, 0, 61])
    assert patches.gather(images, at, chosen).equal(patches.gather(images, at)[chosen])


def test_equal_ids_mean_equal_patches() -> None:
    ids = {patches.window(geometry(module)).id for module in CASES}
    assert len(ids) == len(CASES)
    assert patches.window(geometry(nn.Conv2d(4, 9, 3))).id == patches.window(geometry(CASES[0])).id
