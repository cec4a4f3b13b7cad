"""A real ONNX program from file to result, through the runner of the target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from lamella import runtime
from lamella.artifact import Canary, Contents, save
from lamella.errors import LamellaError
from lamella.runtime.generate import generate

WEIGHT = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
WORDS = ("one", "two", "three", "four")


def program(
    nodes: list[onnx.NodeProto],
    weight: np.ndarray[Any, Any],
    source: onnx.ValueInfoProto,
    result: onnx.ValueInfoProto,
) -> bytes:
    constants = [numpy_helper.from_array(weight, "weight")]
    graph = helper.make_graph(nodes, "toy", [source], [result], constants)
    opset = [helper.make_opsetid("", 21)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString())


def dense() -> bytes:
    """y = max(x W, 0) for x (n, 4)."""
    return program(
        [
            helper.make_node("MatMul", ["x", "weight"], ["product"]),
            helper.make_node("Relu", ["product"], ["y"]),
        ],
        WEIGHT,
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3]),
    )


def contents(content: bytes, canary: Canary, **keys: Any) -> Contents:
    manifest = {
        "lamella": "0.1.0",
        "target": "onnx",
        "model": {"name": "toy"},
        "inputs": [{"name": "x", "dtype": "float32", "shape": ["n", 4]}],
        "outputs": [{"name": "y", "dtype": "float32", "shape": ["n", 3]}],
        "layers": [{"id": "fc", "format": "f32", "nbytes": WEIGHT.nbytes}],
        "canary": {"max_abs_error": 1e-5, "min_cosine": 0.999999},
        **keys,
    }
    return Contents(manifest, {"model.onnx": content}, {}, canary)


def expected(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.maximum(x.astype(np.float64) @ WEIGHT, 0).astype(np.float32)


X = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "dense.lamella"
    save(path, contents(dense(), Canary({"x": X}, {"y": expected(X)})))
    return path


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_a_program_gives_what_numpy_gives(path: Path, threads: int) -> None:
    with runtime.load(path, threads=threads) as session:
        x = np.random.default_rng(2).normal(size=(2, 4)).astype(np.float32)
        np.testing.assert_allclose(session.run(x=x)["y"], expected(x), atol=1e-5)
        assert session.verify().ok


def test_another_program_fails_the_canary(tmp_path: Path) -> None:
    path = tmp_path / "other.lamella"
    save(path, contents(dense(), Canary({"x": X}, {"y": expected(X) + 1})))
    with runtime.load(path) as session:
        verdict = session.verify(strict=False)
    assert not verdict.ok
    assert verdict.max_abs_error == pytest.approx(1, abs=1e-5)


def test_a_program_that_is_no_onnx_model_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "bad.lamella"
    save(path, contents(b"not a model", Canary({"x": X}, {"y": expected(X)})))
    with pytest.raises(LamellaError):
        runtime.load(path)


def test_a_language_model_writes_text(tmp_path: Path) -> None:
    # A bigram model: row t of the weight holds the logits after token t, here t + 1.
    size = len(WORDS)
    table = np.roll(np.eye(size, dtype=np.float32), 1, axis=1)
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "sequence", size])
    content = program(
        [helper.make_node("Gather", ["weight", "input_ids"], ["logits"])], table, ids, logits
    )
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, "one"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    canary = Canary({"input_ids": np.array([[0]])}, {"logits": table[None, :1]})
    packed = contents(
        content,
        canary,
        inputs=[{"name": "input_ids", "dtype": "int64", "shape": ["batch", "sequence"]}],
        outputs=[{"name": "logits", "dtype": "float32", "shape": ["batch", "sequence", size]}],
        generation={"eos_token_ids": [3]},
    )
    path = tmp_path / "text.lamella"
    attachments = {"tokenizer.json": tokenizer.to_str().encode()}
    save(path, Contents(packed.manifest, packed.program, attachments, canary))
    with runtime.load(path) as session:
        assert session.verify().ok
        assert generate(session, "one", max_new_tokens=9).split() == ["two", "three"]
        assert generate(session, "four", max_new_tokens=5).split() == ["one", "two", "three"]
