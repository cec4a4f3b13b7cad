"""Mirrors api/profiling.py and the verb `lamella profile`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from classifier import classifier, pack, pictures
from typer.testing import CliRunner

from lamella.api.profiling import CallTime, profile_table, write_trace
from lamella.cli.entry import app
from lamella.errors import DeviceError, InputError
from lamella.runtime.session import load


def test_every_call_has_a_time_and_shares_sum_up(tmp_path: Path) -> None:
    pack(tmp_path / "toy.lamella")
    trace = tmp_path / "calls.json"
    argv = ["profile", str(tmp_path / "toy.lamella"), "--rounds", "5", "--trace", str(trace)]
    done = CliRunner().invoke(app, [*argv, "-o", "json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert [row["operation"] for row in rows] == [call.operation for call in classifier().calls]
    assert all(row["median_us"] > 0 for row in rows)
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    events = json.loads(trace.read_text())["traceEvents"]
    ends = [event["ts"] + event["dur"] for event in events]
    assert [event["ts"] for event in events] == pytest.approx([0.0, *ends[:-1]])
    assert ends[-1] == pytest.approx(sum(row["median_us"] for row in rows))


def test_the_table_sums_up_what_it_leaves_out(tmp_path: Path) -> None:
    calls = [CallTime("gelu", f"fc{i}", float(i), i / 10) for i in range(1, 5)]
    table = profile_table(calls, most=2)
    assert list(table.columns[0].cells) == ["fc4", "fc3", "2 others"]
    assert list(table.columns[2].cells) == ["4.0", "3.0", "3.0"]
    write_trace(tmp_path / "t.json", calls)
    assert [e["name"] for e in json.loads((tmp_path / "t.json").read_text())["traceEvents"]] == [
        "fc1",
        "fc2",
        "fc3",
        "fc4",
    ]


def test_inputs_are_checked_and_other_targets_refused(tmp_path: Path) -> None:
    pack(tmp_path / "toy.lamella")
    with load(tmp_path / "toy.lamella") as session:
        with pytest.raises(InputError):
            session.profile({"pixels": np.zeros((1, 2), np.float32)})
        assert len(session.profile({"pixels": pictures(1, 1)})) == len(session.calls())
        session.close()
        with pytest.raises(DeviceError, match="calls can be timed for the target native"):
            session.calls()
