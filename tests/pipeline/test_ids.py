"""One id joins a layer from the torch module to the row of the report."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import onnx
import onnx_ir
import pytest
import torch
import transformers
from torch import nn

from lamella.api import deliver
from lamella.api.job import load_job
from lamella.api.predict import feeds
from lamella.artifact.inspect import describe
from lamella.calibration.calibrate import calibrate
from lamella.compression.compress import compress
from lamella.compression.transform.batch_norm import fold_batch_norm
from lamella.frontend.model import Model
from lamella.frontend.trace import trace
from lamella.graph.export import export_onnx
from lamella.graph.passes.label import LAYER, labelled
from lamella.planner.rules import resolve
from lamella.planner.spec import Plan
from lamella.runtime.session import load
from lamella.targets.onnx.lower import OnnxTarget

ROOT = Path(__file__).resolve().parents[2]
COMPRESSIBLE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding)


def bert() -> tuple[nn.Module, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=32,
    )
    ids = torch.arange(22).reshape(2, 11)
    module = transformers.BertModel(config, add_pooling_layer=False)
    return module, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def llama() -> tuple[nn.Module, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=48,
        tie_word_embeddings=True,
        use_cache=False,
    )
    return transformers.LlamaForCausalLM(config), {"input_ids": torch.arange(22).reshape(2, 11)}


def compressible(module: nn.Module) -> set[str]:
    return {name for name, part in module.named_modules() if isinstance(part, COMPRESSIBLE)}


def node_labels(program: bytes) -> set[str]:
    found = onnx_ir.from_proto(onnx.load_model_from_string(program))
    return {node.metadata_props[LAYER] for node in found.graph if LAYER in node.metadata_props}


@pytest.mark.parametrize("build", [bert, llama])
def test_the_ids_of_a_text_model_survive_from_module_to_report(
    build: Callable[[], tuple[nn.Module, dict[str, torch.Tensor]]], tmp_path: Path
) -> None:
    module, inputs = build()
    ids = compressible(module)
    model = trace(module, inputs)
    assert set(model.by_id) == ids
    stats = calibrate(model, [inputs])
    plan = resolve(Plan.load("w8"), model, OnnxTarget())
    assert {choice.layer for choice in plan.choices} == ids
    compressed = compress(model, plan, stats)
    assert set(compressed.packed) == ids
    lowered = OnnxTarget().lower(compressed)
    assert node_labels(lowered.program["model.onnx"]) == ids
    path = tmp_path / "model.lamella"
    deliver.pack(lowered, compressed, plan, feeds(inputs), path, {})
    assert [row["id"] for row in describe(path).layers] == list(model.by_id)
    with load(path) as session:
        assert [row["id"] for row in session.layers] == list(model.by_id)
    rows = deliver.layer_rows(lowered, compressed, plan)
    assert [row["id"] for row in rows] == list(model.by_id)
    assert all(row["format"] == compressed.packed[row["id"]].format for row in rows)


def test_the_ids_of_a_convolutional_model_survive_the_whole_command(
    specs: Path, finished: Path
) -> None:
    model = fold_batch_norm(load_job(str(specs / "tiny.py")).model)
    ids = list(model.by_id)
    assert set(ids) == compressible(model.module)
    report = json.loads((finished / "report.json").read_text())
    assert [row["id"] for row in report["layers"]] == ids
    assert [choice.layer for choice in Plan.load(finished / "plan.yaml").choices] == ids
    assert [row["id"] for row in describe(finished / "model.lamella").layers] == ids
    assert node_labels((finished / "model.onnx").read_bytes()) == set(ids)


def sample(path: str) -> ModuleType:
    located = importlib.util.spec_from_file_location(Path(path).stem, ROOT / "samples" / path)
    assert located is not None
    assert located.loader is not None
    module = importlib.util.module_from_spec(located)
    located.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("path", "layers", "tied"),
    [
        ("vision/efficientnet_lite0.py", 50, 0),
        ("text/minilm.py", 39, 0),
        ("llm/smollm2.py", 212, 1),
    ],
)
def test_the_ids_of_the_three_models_survive_up_to_the_onnx_nodes(
    path: str, layers: int, tied: int
) -> None:
    spec = sample(path)
    module = spec.model()
    shapes = getattr(spec, "DYNAMIC_SHAPES", None)
    model: Model = trace(module, spec.example_inputs(), shapes)
    assert set(model.by_id) == compressible(module)
    assert len(model.layers) == layers
    assert sum(layer.tied_to is not None for layer in model.layers) == tied
    graph = export_onnx(model.module, model.args, model.kwargs, shapes, tuple(model.by_id))
    assert Counter({name: len(nodes) for name, nodes in labelled(graph).items()}) == Counter(
        model.by_id.keys()
    )
