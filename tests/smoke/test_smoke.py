"""The shortest way through: a device loads an artifact and runs it, without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from lamella.api import deliver
from lamella.api.predict import feeds
from lamella.calibration.calibrate import calibrate
from lamella.compression.compress import compress
from lamella.frontend.trace import trace
from lamella.planner.rules import resolve
from lamella.planner.spec import Plan, Rule
from lamella.targets.registry import TARGETS, get

DEVICE = """
import sys
import numpy as np
import lamella
with lamella.load(sys.argv[1]) as session:
    assert session.verify().ok
    answer = session.run(input=np.ones((2, 8), np.float32))["output_0"]
assert answer.shape == (2, 3)
assert not {"torch", "transformers", "onnx", "scipy"} & set(sys.modules)
"""


@pytest.mark.smoke
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_trace_calibrate_compress_lower_pack_and_run_elsewhere(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
    batch = {"input": torch.randn(2, 8)}
    model, target = trace(net, batch), get(name)
    plan = resolve(Plan(rules=(Rule(name="*", format="w8"),)), model, target)
    small = compress(model, plan, calibrate(model, [batch]))
    path = tmp_path / "model.lamella"
    deliver.pack(target.lower(small), small, plan, feeds(batch), path, {})
    done = subprocess.run(
        [sys.executable, "-c", DEVICE, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
