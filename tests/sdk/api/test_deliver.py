"""Mirrors sdk/lamella/api/deliver.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from lamella.api import deliver
from lamella.api.job import Job
from lamella.api.predict import feeds
from lamella.artifact import reader
from lamella.artifact.manifest import Port
from lamella.calibration.calibrate import calibrate
from lamella.compression.compress import compress
from lamella.frontend.model import Model
from lamella.frontend.trace import trace
from lamella.planner.rules import resolve
from lamella.planner.spec import Plan, Rule
from lamella.runtime.session import Session, load
from lamella.targets.onnx.lower import OnnxTarget
from lamella.targets.target import Lowered


def compressed(job: Job) -> tuple[Model, Plan, Lowered]:
    rules = (Rule(name="head", format="f32"), Rule(name="*", format="w8"))
    plan = resolve(Plan(rules=rules), job.model, OnnxTarget())
    model = compress(job.model, plan, calibrate(job.model, job.calibration))
    return model, plan, OnnxTarget().lower(model)


def fixed(rows: int) -> Model:
    torch.manual_seed(0)
    return trace(nn.Sequential(nn.Linear(4, 3)), {"input": torch.zeros(rows, 4)})


@pytest.fixture
def session(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Session]:
    """A program for as many rows as the parameter says."""
    example = {"input": np.ones((1, 4), np.float32)}
    deliver.pack_float(OnnxTarget(), fixed(request.param), example, tmp_path / "m.lamella")
    with load(tmp_path / "m.lamella") as opened:
        yield opened


@pytest.mark.parametrize("session", [1, 3], indirect=True)
@pytest.mark.parametrize("count", [1, 3, 7])
def test_a_program_of_a_fixed_batch_gets_any_batch_in_parts(session: Session, count: int) -> None:
    array = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    found = deliver.predictor(session)({"input": array, "left out": array})["output_0"]
    with torch.inference_mode():
        expected = fixed(1).module(torch.from_numpy(array)).numpy()
    assert found.shape == (count, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("session", [3], indirect=True)
def test_the_canary_has_the_batch_that_the_program_takes(session: Session) -> None:
    assert session.verify().ok
    assert reader.read(session.path).canary.inputs["input"].shape == (3, 4)


def test_equal_models_are_packed_into_equal_bytes(job: Job, tmp_path: Path) -> None:
    example = feeds(job.evaluation[0])
    files = []
    for name in ("a", "b"):
        model, plan, lowered = compressed(job)
        deliver.pack(lowered, model, plan, example, tmp_path / name, {})
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]


def test_rows_join_plan_solver_and_target(job: Job) -> None:
    model, plan, lowered = compressed(job)
    rows = {row["id"]: row for row in deliver.layer_rows(lowered, model, plan)}
    stored = {row["id"]: row["nbytes"] for row in lowered.layers}
    assert {name: row["bytes"] for name, row in rows.items()} == stored
    stem, head = rows["stem"], rows["head"]
    assert (stem["format"], stem["support"]) == ("w8", "size only")
    assert stem["bits"] == 8 * stored["stem"] / (8 * 27)
    assert stem["sqnr_db"] == pytest.approx(-10 * np.log10(model.packed["stem"].loss))
    assert (head["format"], head["support"], head["sqnr_db"]) == ("f32", "float", None)


def test_tolerance_is_wider_where_activations_are_rounded(job: Job) -> None:
    outputs = {"a": np.array([-4.0, 1.0]), "b": np.array([2.0])}
    _, _, lowered = compressed(job)
    plain = deliver.tolerance(lowered, outputs)
    rounded = replace(lowered, layers=({"id": "stem", "format": "w8a8"},))
    assert plain["max_abs_error"] == pytest.approx(4e-4)
    assert deliver.tolerance(rounded, outputs)["max_abs_error"] == pytest.approx(0.2)


def test_open_axes_behind_the_batch_are_cut_for_the_canary() -> None:
    ports = [Port("ids", "int64", ("b", "t")), Port("image", "float32", ("b", 3, 200, 200))]
    image = np.random.default_rng(0).normal(size=(1, 3, 200, 200)).astype(np.float32)
    example = {"ids": np.arange(50).reshape(1, 50), "image": image, "other": image}
    small = deliver.canary_example(ports, example)
    np.testing.assert_array_equal(small["ids"], np.arange(deliver.CANARY_LENGTH)[None])
    assert small["image"].shape == image.shape
    assert small.keys() == {"ids", "image"}


def test_latency_is_measured_with_one_and_with_all_threads(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "thread_counts", lambda: (1, 2))
    path, example = tmp_path / "m.lamella", feeds(job.evaluation[0])
    deliver.pack_float(OnnxTarget(), job.model, example, path)
    rows = deliver.latency(path, path, example, rounds=3)
    assert [(row["threads"], row["rounds"], row["runtime"]) for row in rows] == [
        (1, 3, "onnx"),
        (2, 3, "onnx"),
    ]


@pytest.mark.parametrize(("cores", "counts"), [({0}, (1,)), ({0, 2, 3}, (1, 3))])
def test_threads_are_one_and_all_that_this_process_may_use(
    monkeypatch: pytest.MonkeyPatch, cores: set[int], counts: tuple[int, ...]
) -> None:
    monkeypatch.setattr(deliver.os, "sched_getaffinity", lambda process: cores)
    assert deliver.thread_counts() == counts


def test_every_file_of_a_program_is_written(tmp_path: Path) -> None:
    lowered = cast("Any", SimpleNamespace(program={"a.so": b"1", "b.bin": b"22"}))
    written = deliver.write_program(lowered, tmp_path)
    assert [path.read_bytes() for path in written] == [b"1", b"22"]
