"""Mirrors targets/tvm/runner.py and targets/tvm/program.py."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("tvm", reason="apache-tvm is not installed")

from lamella.errors import ArtifactError, DeviceError, LamellaError
from lamella.frontend.trace import trace
from lamella.targets.tvm import program, runner
from lamella.targets.tvm.lower import TvmTarget
from lamella.targets.tvm.program import Port
from lamella.targets.tvm.runner import open_program

X = np.arange(8, dtype=np.float32).reshape(2, 4)


class Pair(nn.Module):
    """Two inputs that share a free size, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 24, bias=False)
        self.layer.weight.data = torch.arange(96).reshape(24, 4).float()

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"product": self.layer(a), "sum": a + b}


@cache
def files() -> dict[str, bytes]:
    rows = torch.export.Dim("rows", max=64)
    example = {"a": torch.ones(2, 4), "b": torch.ones(2, 4)}
    model = trace(Pair(), example, {"a": {0: rows}, "b": {0: rows}})
    return TvmTarget(triple="x86_64").lower(model).program


def changed(**fields: object) -> dict[str, bytes]:
    description = json.loads(files()[program.DESCRIPTION]) | fields
    return {**files(), program.DESCRIPTION: json.dumps(description).encode()}


def test_outputs_have_their_names_and_values_for_every_free_size() -> None:
    opened = open_program(files(), 1)
    weight = np.arange(96, dtype=np.float32).reshape(24, 4)
    for rows in (1, 2, 7):
        a = np.arange(4 * rows, dtype=np.float32).reshape(rows, 4)
        got = opened.run({"a": a, "b": a + 1})
        np.testing.assert_array_equal(got["product"], a @ weight.T)
        np.testing.assert_array_equal(got["sum"], 2 * a + 1)


def test_results_outlive_later_runs_and_the_runner() -> None:
    opened = open_program(files(), 1)
    first = opened.run({"a": X, "b": X})["sum"]
    opened.run({"a": 5 * X, "b": X})
    del opened
    np.testing.assert_array_equal(first, 2 * X)


def test_unaligned_and_strided_inputs_are_read_right() -> None:
    room = np.zeros(2 * 4 * 4 + 4, np.uint8)
    odd = room[4:].view(np.float32).reshape(2, 4)
    odd[...] = X
    got = open_program(files(), 1).run({"a": odd, "b": np.asfortranarray(X)})
    np.testing.assert_array_equal(got["sum"], 2 * X)


def test_nothing_is_left_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program_files = files()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    opened = open_program(program_files, 1)
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_array_equal(opened.run({"a": X, "b": X})["sum"], 2 * X)


def test_neither_torch_nor_the_compiler_is_loaded(tmp_path: Path) -> None:
    for name, content in files().items():
        (tmp_path / name).write_bytes(content)
    script = (
        "import sys, numpy, pathlib; from lamella.targets.tvm.runner import open_program\n"
        "files = {path.name: path.read_bytes() for path in pathlib.Path(sys.argv[1]).iterdir()}\n"
        "x = numpy.ones((2, 4), numpy.float32)\n"
        "print(open_program(files, 1).run({'a': x, 'b': x})['sum'].sum())\n"
        "print(sorted({'torch', 'tvm', 'onnx_ir', 'onnx'} & set(sys.modules)))\n"
        "print('libtvm_compiler' in pathlib.Path('/proc/self/maps').read_text())\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["16.0", "[]", "False", ""]


@pytest.mark.parametrize(
    ("feeds", "complaint"),
    [
        ({"a": X}, "takes the inputs a, b, given are: a"),
        ({"a": X, "b": X, "c": X}, "given are: a, b, c"),
        ({"a": X.astype(np.float64), "b": X}, "input a must be float32 .* not float64"),
        ({"a": X, "b": X[:1]}, r"input b must be .* not float32 of shape \(1, 4\)"),
        ({"a": X[:, :3], "b": X[:, :3]}, r"input a .* shape \(\w+, 4\), not .* \(2, 3\)"),
        ({"a": X[0], "b": X[0]}, r"not float32 of shape \(4\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(feeds: dict[str, np.ndarray], complaint: str) -> None:
    with pytest.raises(DeviceError, match=complaint):
        open_program(files(), 1).run(feeds)


@pytest.mark.parametrize("name", [program.LIBRARY, program.PARAMETERS, program.DESCRIPTION])
def test_a_missing_file_is_named(name: str) -> None:
    with pytest.raises(ArtifactError, match=f"has no file {name}"):
        open_program({key: value for key, value in files().items() if key != name}, 1)


@pytest.mark.parametrize(
    ("damaged", "complaint"),
    [
        ({program.DESCRIPTION: b"{"}, "program.json of the TVM program is damaged"),
        ({program.DESCRIPTION: b"[]"}, "program.json of the TVM program is damaged"),
        ({program.DESCRIPTION: b"{}"}, "program.json of the TVM program is damaged"),
        ({program.PARAMETERS: b"short"}, "params.bin of the TVM program is too short"),
        ({program.LIBRARY: b"not a library"}, "model.so of the TVM program cannot be loaded"),
    ],
)
def test_damaged_files_are_refused(damaged: dict[str, bytes], complaint: str) -> None:
    with pytest.raises(ArtifactError, match=complaint):
        open_program({**files(), **damaged}, 1)


@pytest.mark.parametrize(
    "shape", [[-1, 4], [24, -4], [1 << 40, 1 << 40], [24, 4, 1 << 62], ["rows", 4], [24.5, 4], None]
)
def test_hostile_parameter_shapes_are_refused(shape: object) -> None:
    (row,) = json.loads(files()[program.DESCRIPTION])["parameters"]
    with pytest.raises(ArtifactError):
        open_program(changed(parameters=[row | {"shape": shape}]), 1)


@pytest.mark.parametrize("offset", [-64, 64, 1 << 62])
def test_parameters_outside_of_their_file_are_refused(offset: int) -> None:
    (row,) = json.loads(files()[program.DESCRIPTION])["parameters"]
    with pytest.raises(ArtifactError, match="too short for the parameter"):
        open_program(changed(parameters=[row | {"offset": offset}]), 1)


@pytest.mark.parametrize("dtype", ["object", "str", "float31", "V8"])
def test_types_that_are_no_numbers_are_refused(dtype: str) -> None:
    (row,) = json.loads(files()[program.DESCRIPTION])["parameters"]
    with pytest.raises(ArtifactError, match="damaged"):
        open_program(changed(parameters=[row | {"dtype": dtype}]), 1)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"architecture": "aarch64"}, "compiled for aarch64 and this machine is"),
        ({"needs": ["avx2", "amx_of_tomorrow"]}, "uses the instructions amx_of_tomorrow"),
    ],
)
def test_a_program_for_another_machine_is_refused(
    fields: dict[str, object], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner.platform, "machine", lambda: "x86_64")
    with pytest.raises(DeviceError, match=complaint):
        open_program(changed(**fields), 1)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(LamellaError, match="unknown device 'abacus'"):
        open_program(changed(device="abacus"), 1)


def test_a_negative_number_of_threads_is_refused() -> None:
    with pytest.raises(DeviceError, match="threads must be 0"):
        open_program(files(), -1)


def test_parameters_are_laid_out_one_after_the_other_and_aligned() -> None:
    arrays = {"a": np.arange(5, dtype=np.uint8), "b": np.arange(6, dtype=np.float16).reshape(2, 3)}
    ports, content = program.lay_out(arrays)
    assert ports == (Port("a", "uint8", (5,), 0), Port("b", "float16", (2, 3), 64))
    assert len(content) == 64 + 12
    for array, view in zip(
        arrays.values(), program.views(ports, np.frombuffer(content, np.uint8)), strict=True
    ):
        np.testing.assert_array_equal(view, array)
