"""Mirrors sdk/lamella/planner/machine.py."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor, nn

from lamella.errors import CalibrationError
from lamella.frontend.model import Model
from lamella.frontend.trace import trace
from lamella.planner import machine


class Slow(nn.Module):
    """Takes a hundredth of a second for two outputs of 6 and 4 values, and one of row numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> dict[str, object]:
        if not torch.compiler.is_exporting():
            time.sleep(0.01)
        y = self.fc(x)
        return {"a": torch.cat([y, y, y], -1), "more": (y, y), "ids": y.argmax(-1)}


@pytest.fixture(scope="module")
def model() -> Model:
    return trace(Slow(), torch.zeros(2, 8), ({0: torch.export.Dim.DYNAMIC},))


def test_a_probe_times_the_model_on_the_batch_it_is_given(model: Model) -> None:
    found = machine.probe(model, torch.zeros(6, 8))
    assert found.scale == 3
    assert found.output_elements == 6 * (6 + 4)
    assert 0.01 <= found.forward_seconds < 0.1
    assert found.resident_bytes > 50e6


def test_without_a_batch_the_example_inputs_are_run(model: Model) -> None:
    found = machine.probe(model)
    assert found.scale == 1
    assert found.output_elements == 20


def test_rates_are_those_of_a_computer(model: Model) -> None:
    found = machine.probe(model)
    assert 1e8 < found.double < 1e15
    assert 1e8 < found.single < 1e15
    assert 1e6 < found.elements < 1e12
    assert 1e6 < found.steps < 1e12


def test_a_batch_that_does_not_fit_is_refused(model: Model) -> None:
    with pytest.raises(CalibrationError, match="batch 0"):
        machine.probe(model, torch.zeros(3, 9))


def test_the_fastest_run_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 0.15, 1.0, 1.05, 2.0, 2.1])
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    monkeypatch.setattr(machine, "PROBE_SECONDS", 0.2)
    assert machine.fastest(lambda: None) == pytest.approx(0.05)
