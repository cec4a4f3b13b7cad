"""Mirrors calibration/activations.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lamella.calibration import activations


@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (0.0, 6.0), (2.0, 3.0), (-5.0, -1.0)])
def test_a_static_grid_rounds_within_half_a_step_and_clips(low: float, high: float) -> None:
    grid = activations.static_grid(low, high)
    values = torch.linspace(min(low, 0), max(high, 0), 1001)
    found = activations.static(values, grid)
    # The zero point is rounded too, which moves either end by up to half a step.
    assert (found - values).abs().max() <= grid.scale * 1.001
    assert len(found.unique()) <= 256
    assert activations.static(torch.zeros(1), grid).item() == 0
    ends = activations.static(torch.tensor([-1e9, 1e9]), grid)
    np.testing.assert_allclose(ends, [-grid.zero * grid.scale, (255 - grid.zero) * grid.scale])


def test_a_static_grid_of_nothing_has_the_scale_one() -> None:
    assert activations.static_grid(0.0, 0.0).scale == 1.0


def test_a_dynamic_grid_fits_every_token() -> None:
    values = torch.randn(2, 3, 8) * torch.tensor([1.0, 100.0, 0.0]).reshape(1, 3, 1)
    found = activations.dynamic(values)
    step = values.abs().amax(-1, keepdim=True) / 127
    assert ((found - values).abs() <= step * 0.5001).all()
    assert (found[:, 2] == 0).all()
    assert found.abs().amax(-1).allclose(values.abs().amax(-1))


def test_a_dynamic_grid_may_span_several_axes() -> None:
    values = torch.randn(2, 3, 4, 4)
    found = activations.dynamic(values, (1, 2, 3))
    for image, rounded in zip(values, found, strict=True):
        steps = rounded / (image.abs().max() / 127)
        assert (steps - steps.round()).abs().max() < 1e-4
