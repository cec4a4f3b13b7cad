"""Mirrors targets/onnx/runner.py."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx_ir
import pytest

from lamella.errors import DeviceError
from lamella.graph.evaluate import serialise
from lamella.graph.passes.builder import Builder
from lamella.targets.onnx.runner import Runner, open_program


def program() -> dict[str, bytes]:
    """output = a + b for two float matrices with a free number n of rows and 3 columns."""
    kind = onnx_ir.TensorType(onnx_ir.DataType.FLOAT)
    inputs = [
        onnx_ir.Value(name=name, shape=onnx_ir.Shape(["n", 3]), type=kind) for name in ("a", "b")
    ]
    graph = onnx_ir.Graph(inputs, [], nodes=[], opset_imports={"": 21}, name="g")
    model = onnx_ir.Model(graph, ir_version=10)
    total = Builder(model).add("Add", *inputs)
    total.name, total.type, total.shape = "output", kind, onnx_ir.Shape(["n", 3])
    graph.outputs.append(total)
    return {"model.onnx": serialise(model)}


@pytest.fixture(scope="module")
def runner() -> Runner:
    return open_program(program(), threads=1)


def rows(count: int) -> np.ndarray:
    return np.ones((count, 3), np.float32)


@pytest.mark.parametrize("count", [1, 5])
def test_it_runs_any_number_of_rows(runner: Runner, count: int) -> None:
    np.testing.assert_array_equal(
        runner.run({"a": rows(count), "b": rows(count)})["output"], 2 * rows(count)
    )


def test_it_describes_its_ports(runner: Runner) -> None:
    assert [(port.name, port.dtype, port.shape) for port in runner.inputs] == [
        ("a", "float32", ("n", 3)),
        ("b", "float32", ("n", 3)),
    ]


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"a": rows(1)}, "takes the inputs a, b, given are: a"),
        ({"a": rows(1), "b": rows(1), "c": rows(1)}, "given are: a, b, c"),
        ({"a": rows(1), "b": rows(1).astype(np.float64)}, "b must be float32, not float64"),
        ({"a": rows(1), "b": rows(1)[0]}, r"b must have the shape \(n, 3\), not \(3\)"),
        ({"a": rows(1), "b": np.ones((1, 4), np.float32)}, r"not \(1, 4\)"),
        ({"a": rows(1), "b": rows(2)}, r"b must have the shape \(n, 3\), not \(2, 3\)"),
        ({"a": rows(1), "b": [[1.0, 2.0, 3.0]]}, "must be a numpy array, not list"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(runner: Runner, feeds, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        runner.run(feeds)


def test_an_artifact_of_another_target_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"no model\.onnx, only: lib\.so"):
        open_program({"lib.so": b""}, 1)


def test_damaged_bytes_are_refused() -> None:
    with pytest.raises(DeviceError, match=r"refuses model\.onnx"):
        open_program({"model.onnx": b"not a model"}, 1)


def test_a_negative_number_of_threads_is_refused() -> None:
    with pytest.raises(DeviceError, match="not -1"):
        open_program(program(), -1)


def test_a_device_needs_neither_torch_nor_onnx() -> None:
    code = (
        "import sys, lamella.targets.onnx.runner\n"
        "print([name for name in ('torch', 'onnx', 'onnx_ir', 'tvm') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
