"""Mirrors targets/tvm/build.py."""

from __future__ import annotations

import shutil
import struct

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("tvm", reason="apache-tvm is not installed")

from lamella.errors import LoweringError
from lamella.formats import parse
from lamella.frontend.model import Compressed
from lamella.frontend.trace import trace
from lamella.grids import quantize
from lamella.targets.tvm import build, program
from lamella.targets.tvm.build import Triple
from lamella.targets.tvm.lower import TvmTarget
from lamella.targets.tvm.runner import open_program

# The field e_machine of an ELF header: what the code runs on.
ELF = {"x86_64": 62, "aarch64": 183, "cuda": 62}


def library(triple: Triple) -> bytes:
    model = trace(nn.Sequential(nn.Linear(16, 24), nn.ReLU()), (torch.ones(4, 16),))
    return TvmTarget(triple=triple).lower(model).program[program.LIBRARY]


@pytest.mark.parametrize("triple", ["x86_64", pytest.param("aarch64", marks=pytest.mark.arm)])
def test_the_library_is_for_the_machine_and_tells_nothing_of_this_one(triple: Triple) -> None:
    if shutil.which(build.MACHINES[triple].linker) is None:
        pytest.skip(f"{build.MACHINES[triple].linker} is not installed")
    content = library(triple)
    assert content[:4] == b"\x7fELF"
    assert struct.unpack_from("<H", content, 18)[0] == ELF[triple]
    for trace_of_this_machine in (b"/tmp/", b"/home/", b"site-packages", b"build-id"):
        assert trace_of_this_machine not in content


def test_cuda_code_is_compiled_where_nvcc_is_present() -> None:
    if shutil.which("nvcc") is None:
        pytest.skip("nvcc is not installed; the CUDA program cannot be compiled")
    model = trace(nn.Sequential(nn.Linear(16, 24), nn.ReLU()), (torch.ones(4, 16),))
    lowered = TvmTarget(triple="cuda").lower(model)
    assert struct.unpack_from("<H", lowered.program[program.LIBRARY], 18)[0] == ELF["cuda"]
    assert program.read_description(lowered.program[program.DESCRIPTION]).device == "cuda"
    assert any("was not run" in note for note in lowered.notes)


@pytest.mark.parametrize(("triple", "needed"), [("x86_64", "g++"), ("cuda", "nvcc")])
def test_a_missing_compiler_is_named(
    triple: Triple, needed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(program: str) -> str | None:
        return None if program.endswith(needed) else program

    monkeypatch.setattr(build.shutil, "which", found)
    with pytest.raises(LoweringError, match=rf"needs the program \S*{needed.replace('+', '.')}"):
        library(triple)


def test_a_linker_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.Machine, "linker", property(lambda _: "false"))
    with pytest.raises(LoweringError, match="false cannot link the library"):
        library("x86_64")


def test_what_tvm_cannot_compile_is_reported_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("first line\nno code for this operator")

    monkeypatch.setattr(build.tvm, "compile", fails)
    with pytest.raises(LoweringError, match=r"for x86_64: no code for this operator; .*onnx"):
        library("x86_64")


def test_an_embedding_unpacks_only_the_rows_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    schedule_module = build.schedule_module

    def remembers(module: object, target: object) -> object:
        seen.append(module)
        return schedule_module(module, target)

    monkeypatch.setattr(build, "schedule_module", remembers)
    model = trace(nn.Sequential(nn.Embedding(1000, 64)), (torch.ones(1, 4, dtype=torch.int64),))
    (layer,) = model.layers
    weight = quantize(model.weight(layer), parse("w4g32"))
    model.packed[layer.id] = Compressed("w4g32", weight)
    lowered = TvmTarget(triple="x86_64").lower(model)
    (module,) = seen
    names = [name.name_hint for name in module.functions if name.name_hint != "main"]
    assert len(names) == 1
    assert "right_shift" in names[0]
    assert "take" in names[0]
    tokens = np.array([[7, 999, 0, 500]])
    got = open_program(lowered.program, 1).run({"input": tokens})["output_0"]
    np.testing.assert_array_equal(got, weight.decode()[tokens])
