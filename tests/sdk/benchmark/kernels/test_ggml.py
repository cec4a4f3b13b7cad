"""Mirrors ggml.py and peers_ggml.py of lamella.benchmark.kernels: llama.cpp, where it is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lamella import _native
from lamella.benchmark.kernels import ggml, peers_ggml
from lamella.benchmark.kernels.operations import Plan, time_kernels
from lamella.cli.machine import _peers
from lamella.errors import DeviceError

# The package is no dependency: it compiles for minutes.
needs_llama = pytest.mark.skipif(bool(ggml.missing()), reason=f"llama.cpp: {ggml.missing()}")


@needs_llama
@pytest.mark.parametrize("bits", peers_ggml.FORMATS)
@pytest.mark.parametrize("tokens", [1, 3, 33])
def test_every_format_multiplies_what_it_rounds(bits: int, tokens: int) -> None:
    x = np.random.default_rng(2).standard_normal((tokens, 512), np.float32)
    found = peers_ggml.products(x, rows=96, bits=bits, nbytes=200_000, threads=2)
    assert found.keys() == {name for name, _, _ in peers_ggml.FORMATS[bits]}
    for call in found.values():
        assert call.count > 1
        call.run()


@needs_llama
def test_a_product_by_other_weights_is_noticed() -> None:
    x = np.random.default_rng(2).standard_normal((2, 256), np.float32)
    one = peers_ggml.Products(x, 64, (8, ggml.plain_kind()), count=2, threads=1)
    one.check(2.0**-8, "q8_0")
    one._real = one._real[::-1]
    with pytest.raises(DeviceError, match=r"q8_0 is 1\.\d+ off a product of floats, over 0\.018"):
        one.check(2.0**-8, "q8_0")


@needs_llama
def test_formats_for_which_lines_are_too_short_stay_away() -> None:
    x = np.zeros((1, 96), np.float32)
    x[0] = 1
    assert peers_ggml.products(x, 32, 4, 1, 1).keys() == {"llamacpp"}
    assert peers_ggml.products(x, 32, 3, 1, 1) == {}


def test_without_the_package_it_stays_away_and_is_an_error_where_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ggml, "path", lambda: None)
    names, notes = _peers(None)
    assert names == ("onnxruntime", "torch")
    assert notes == [f"without llamacpp: {ggml.missing()}"]
    assert _peers("torch") == (("torch",), [])
    with pytest.raises(DeviceError, match="--peers llamacpp: llama_cpp is not installed; pip"):
        time_kernels(Plan(ops=("argmax",), peers=("llamacpp",)))


def test_a_build_for_more_than_the_machine_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ggml, "path", lambda: Path("/lib/libggml-cpu.so"))
    monkeypatch.setattr(ggml, "compiled_for", lambda: ["avx_vnni", "avx512", "amx_int8"])
    monkeypatch.setattr(_native, "hidden_beyond", lambda: "avxvnni")
    monkeypatch.setattr(_native, "isa", lambda: ["portable", "avx2", "avxvnni"])
    assert "libggml-cpu.so is compiled for avx512, amx_int8 and uses it" in ggml.missing()
    monkeypatch.setattr(_native, "hidden_beyond", lambda: "")
    assert ggml.missing() == ""


def test_a_library_without_the_functions_stays_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "libggml-cpu.so"
    place.write_bytes(b"no library")
    monkeypatch.setattr(ggml, "path", lambda: place)
    monkeypatch.setattr(ggml, "library", ggml.library.__wrapped__)
    assert "is another version than lamella knows" in ggml.missing()
