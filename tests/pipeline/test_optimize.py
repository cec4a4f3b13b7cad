"""From a spec to a report in one command, on small models, and every verb on what came out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

import lamella as package
from lamella.api.job import load_job
from lamella.calibration.calibrate import calibrate
from lamella.compression.compress import compress
from lamella.compression.transform.batch_norm import fold_batch_norm
from lamella.planner.spec import Plan

CommandLine = Any

# One worker, since the tests share two long runs.
pytestmark = pytest.mark.xdist_group("optimize")

# The keys that a machine may rely on.
KEYS = {
    "size_bytes",
    "params",
    "bits_per_weight",
    "layers",
    "fidelity",
    "latency",
    "forecast",
    "command",
    "environment",
}
LAYER = {"id", "format", "bytes", "sensitivity", "sqnr_db"}
FIDELITY = {"name", "value", "spread"}
LATENCY = {"runtime", "threads", "median_ms", "p95_ms", "baseline_median_ms", "ratio"}
STAGES = ("calibrate", "sense", "plan", "compress", "lower", "pack", "bench")
FORECAST = {"size_bytes", "peak_rss_bytes", "seconds"}


@pytest.fixture(scope="session")
def report(finished: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((finished / "report.json").read_text())
    return found


@pytest.fixture(scope="session")
def text_model(lamella: CommandLine, specs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("text") / "out"
    limits = ("--max-drop", 0.05, "--points", 2, "--rounds", 2)
    done = lamella("optimize", specs / "tiny_text.py", *limits, "-o", out)
    assert done.code == 0, done.err
    return out


def simulated(spec: Path, plan: Path) -> tuple[torch.nn.Module, list[dict[str, torch.Tensor]]]:
    """Carries a plan out once more, in this process."""
    job = load_job(str(spec))
    model = fold_batch_norm(job.model)
    found = compress(model, Plan.load(plan), calibrate(model, job.calibration))
    return found.module, job.evaluation


@pytest.mark.smoke
def test_every_file_is_written_and_nothing_else(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names == {
        ".work",
        "model.lamella",
        "model.onnx",
        "plan.yaml",
        "report.html",
        "report.json",
    }


@pytest.mark.smoke
def test_the_report_holds_every_key_that_a_machine_may_rely_on(
    report: dict[str, Any], finished: Path
) -> None:
    assert report.keys() >= KEYS
    assert report["size_bytes"] == (finished / "model.lamella").stat().st_size
    assert report["bits_per_weight"] == 8 * report["size_bytes"] / report["params"]
    for rows, keys in (("layers", LAYER), ("fidelity", FIDELITY), ("latency", LATENCY)):
        assert report[rows]
        assert all(row.keys() >= keys for row in report[rows])
    assert {row["threads"] for row in report["latency"]} >= {1}
    assert report["command"].startswith("lamella optimize ")
    assert {"cpu", "packages", "python"} <= report["environment"].keys()


def test_what_was_forecast_stands_beside_what_was_measured(report: dict[str, Any]) -> None:
    forecast, measured = report["forecast"], report["measured"]
    assert forecast.keys() >= FORECAST
    assert measured.keys() >= forecast.keys()
    assert all(value >= 0 for value in (*forecast.values(), *measured.values()))
    assert measured["seconds"] == pytest.approx(
        sum(measured[f"{stage}_seconds"] for stage in STAGES)
    )
    assert measured["peak_rss_bytes"] == max(measured[f"{at}_rss_bytes"] for at in STAGES)


def test_the_promise_is_kept_by_the_artifact(report: dict[str, Any], finished: Path) -> None:
    deployed = report["fidelity"][0]
    assert deployed["what"] == "artifact against float"
    assert 0 < deployed["drop"] <= 0.02
    promised = Plan.load(finished / "plan.yaml").promised
    assert promised["drop"] == pytest.approx(deployed["drop"], rel=1e-3)
    assert report["size_bytes"] < 0.7 * report["baseline_bytes"]


def test_the_front_has_eight_measured_plans_that_trade_size_for_drop(
    report: dict[str, Any],
) -> None:
    front = report["pareto"]
    assert len(front) >= 8
    sizes = [point["size_bytes"] for point in front]
    assert sizes == sorted(set(sizes))
    assert front[-1]["drop"] < front[0]["drop"] / 10


@pytest.mark.smoke
def test_the_artifact_computes_what_the_simulation_does(specs: Path, finished: Path) -> None:
    module, batches = simulated(specs / "tiny.py", finished / "plan.yaml")
    with package.load(finished / "model.lamella") as session, torch.inference_mode():
        for batch in batches:
            found = session.run(image=batch["image"].numpy())["output_0"]
            expected = module(**batch).numpy()
            np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_a_text_model_runs_at_lengths_it_has_not_seen(specs: Path, text_model: Path) -> None:
    module, _ = simulated(specs / "tiny_text.py", text_model / "plan.yaml")
    ids = torch.arange(3 * 31).reshape(3, 31) % 96
    with package.load(text_model / "model.lamella") as session, torch.inference_mode():
        found = session.run(input_ids=ids.numpy())["output_0"]
        expected = module(input_ids=ids).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_a_text_model_is_judged_by_its_perplexity(text_model: Path) -> None:
    report = json.loads((text_model / "report.json").read_text())
    assert report["fidelity"][0]["name"] == "perplexity"
    assert report["fidelity"][0]["drop"] <= 0.05
    tied = {row["id"]: row["format"] for row in report["layers"]}
    assert tied["lm.lm_head"] == tied["lm.model.embed_tokens"]


@pytest.mark.smoke
def test_the_page_loads_nothing_from_elsewhere(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    named = set(re.findall(r"https?://[^\"'<\s]+", page))
    # The names of the vocabularies of SVG are not addresses that a browser opens.
    assert named <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.search(r"<script|<link|<iframe|<img|@import|url\(\s*['\"]?(?!#)", page)
    assert page.count("<svg") == 2


def test_the_page_shows_plan_layers_environment_and_command(
    finished: Path, report: dict[str, Any]
) -> None:
    page = (finished / "report.html").read_text()
    for row in report["layers"]:
        assert f"<td>{row['id']}</td>" in page
    assert "lamella optimize" in page
    assert report["environment"]["cpu"] in page
    assert "rules:" in page


@pytest.mark.parametrize(
    ("verb", "keys"),
    [
        ("inspect", {"size_bytes", "layers", "sections", "model"}),
        ("verify", {"ok", "max_abs_error", "bound"}),
        ("bench", {"size_bytes", "peak_rss_bytes", "latency"}),
    ],
)
def test_verbs_on_an_artifact_answer_in_json(
    lamella: CommandLine, finished: Path, verb: str, keys: set[str]
) -> None:
    done = lamella(verb, finished / "model.lamella", "-o", "json")
    assert done.code == 0, done.err
    assert json.loads(done.out).keys() >= keys
    table = lamella(verb, finished / "model.lamella")
    assert table.code == 0
    with pytest.raises(ValueError, match=r".+"):
        json.loads(table.out)


def test_bench_times_an_artifact_against_the_float_one(
    lamella: CommandLine, finished: Path
) -> None:
    baseline = finished / ".work" / "float.lamella"
    options = ("--baseline", baseline, "--threads", 1, "--rounds", 3, "-o", "json")
    done = lamella("bench", finished / "model.lamella", *options)
    found = json.loads(done.out)
    assert found["latency"].keys() >= LATENCY
    assert (found["baseline"], found["latency"]["rounds"]) == (str(baseline), 3)


def test_run_reads_and_writes_arrays(lamella: CommandLine, finished: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(0).normal(size=(5, 3, 12, 12)).astype(np.float32)
    np.savez(tmp_path / "x.npz", image=image)
    files = ("--inputs", tmp_path / "x.npz", "-o", tmp_path / "y.npz")
    done = lamella("run", finished / "model.lamella", *files)
    assert done.code == 0, done.err
    with package.load(finished / "model.lamella") as session:
        expected = session.run(image=image)["output_0"]
    with np.load(tmp_path / "y.npz") as found:
        np.testing.assert_array_equal(found["output_0"], expected)
    (tmp_path / "x.npz").write_bytes(b"no arrays")
    assert lamella("run", finished / "model.lamella", *files).code == 3


def test_the_stages_one_by_one_give_the_bytes_of_the_whole_run(
    lamella: CommandLine, specs: Path, finished: Path, tmp_path: Path
) -> None:
    spec, at = specs / "tiny.py", tmp_path
    stats = ("--stats", at / "s.safetensors")
    plan = ("--plan", finished / "plan.yaml")
    steps = (
        ("trace", spec, "-o", "json"),
        ("calibrate", spec, "-o", at / "s.safetensors"),
        ("sense", spec, *stats, "--save", at / "sense.json", "-o", "json"),
        ("plan", spec, "--sensitivity", at / "sense.json", "--max-size", "9kB", "-o", "json"),
        ("compress", spec, *plan, *stats, "-o", at / "layers"),
        ("lower", spec, *plan, *stats, "--layers", at / "layers", "-o", at / "model.lamella"),
    )
    said = {}
    for step in steps:
        done = lamella(*step)
        assert done.code == 0, (step[0], done.err)
        said[step[0]] = done.out
    assert (at / "model.lamella").read_bytes() == (finished / "model.lamella").read_bytes()
    traced = json.loads(said["trace"])["layers"]
    assert [row["id"] for row in traced] == ["stem", "depth", "point", "hidden", "head"]
    depthwise = {row["format"] for row in json.loads(said["sense"]) if row["layer"] == "depth"}
    assert depthwise == {"w8", "f16"}
    planned = json.loads(said["plan"])
    assert [row["id"] for row in planned["layers"]] == [row["id"] for row in traced]
    assert planned["promised"]["size_bytes"] <= 9_000


def test_a_dry_run_forecasts_without_working(
    lamella: CommandLine, specs: Path, tmp_path: Path
) -> None:
    done = lamella("plan", specs / "tiny.py", "--max-size", "9kB", "--dry-run", "-o", "json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found.keys() >= FORECAST
    assert found["size_bytes"] == 9_000
    names = [stage["name"] for stage in found["stages"]]
    assert names == list(STAGES)


def test_a_module_of_one_fixed_batch_size_takes_batches_of_any(
    lamella: CommandLine, specs: Path, tmp_path: Path
) -> None:
    spec, out = tmp_path / "fixed.py", tmp_path / "out"
    text = (specs / "tiny.py").read_text()
    spec.write_text(
        text.replace("DYNAMIC_SHAPES", "UNUSED").replace("seed=2).split(20", "2).split(7")
    )
    options = ("--recipe", "w8", "--points", 0, "--rounds", 2, "--max-drop", 0.1)
    done = lamella("optimize", spec, "-o", out, *options)
    assert done.code == 0, done.err
    rows = json.loads((out / "report.json").read_text())["fidelity"]
    assert rows[0]["value"] == pytest.approx(rows[1]["value"], rel=1e-3)


def test_the_same_command_serves_tvm(lamella: CommandLine, specs: Path, tmp_path: Path) -> None:
    limits = ("--max-drop", 0.02, "--points", 0, "--rounds", 2, "--target", "tvm")
    done = lamella("optimize", specs / "tiny.py", *limits, "-o", tmp_path)
    assert done.code == 0, done.err
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["fidelity"][0]["value"] == pytest.approx(report["fidelity"][1]["value"], rel=1e-2)
    assert {row["runtime"] for row in report["latency"]} == {"tvm"}
    assert lamella("verify", tmp_path / "model.lamella").code == 0


def test_a_folder_with_a_text_becomes_an_artifact_that_writes(
    lamella: CommandLine, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    words = {f"w{at}": at for at in range(63)}
    tokenizer = Tokenizer(WordLevel({**words, "[UNK]": 63}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    config = transformers.LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    folder, text, out = tmp_path / "folder", tmp_path / "text.txt", tmp_path / "out"
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    text.write_text(" ".join(f"w{at * at % 63}" for at in range(1100)))
    limits = ("--text", text, "--max-size", "90kB", "--points", 0, "--rounds", 2)
    done = lamella("optimize", folder, *limits, "-o", out)
    assert done.code == 0, done.err
    assert (out / "model.lamella").stat().st_size <= 90_000
    written = lamella("generate", out / "model.lamella", "w1 w2 w3", "--max-tokens", 4)
    assert written.code == 0, written.err
    assert re.fullmatch(r"(\s*w\d+){1,4}\s*", written.out)


@pytest.mark.smoke
def test_the_command_is_a_module_too(finished: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lamella.cli", "verify", str(finished / "model.lamella")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ok: ")


def test_a_refused_budget_leaves_what_stood_in_the_folder(
    lamella: CommandLine, specs: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.lamella").write_bytes(b"an earlier result")
    options = ("--recipe", "w8", "--points", 0, "--max-size", "1kB")
    done = lamella("optimize", specs / "tiny.py", "-o", tmp_path, *options)
    assert done.code == 6, done.err
    assert (tmp_path / "model.lamella").read_bytes() == b"an earlier result"
    assert not (tmp_path / "plan.yaml").exists()
