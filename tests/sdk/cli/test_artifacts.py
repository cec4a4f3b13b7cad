"""Mirrors sdk/lamella/cli/artifacts.py: keys and signatures on the command line."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from lamella.artifact import Canary, Contents, save
from lamella.cli.entry import main

pytest.importorskip("cryptography")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    port = {"name": "x", "dtype": "int8", "shape": [1]}
    manifest = {
        "lamella": "0.1.0",
        "target": "onnx",
        "model": {"name": "toy"},
        "inputs": [port],
        "outputs": [port],
        "layers": [],
        "canary": {"max_abs_error": 0},
    }
    canary = Canary({"x": np.zeros(1, np.int8)}, {"x": np.zeros(1, np.int8)})
    save(tmp_path / "toy.lamella", Contents(manifest, {"model.onnx": b"no"}, {}, canary))
    return tmp_path / "toy.lamella"


class Run:
    """Runs the command line; gives the exit code and what was said."""

    def __init__(self, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.patch, self.capsys = patch, capsys

    def __call__(self, *argv: object) -> tuple[int, str]:
        self.patch.setattr(sys, "argv", ["lamella", *map(str, argv)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = self.capsys.readouterr()
        return int(end.value.code or 0), out + err


@pytest.fixture
def lamella(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(monkeypatch, capsys)


def test_a_key_signs_and_its_public_half_is_demanded(file: Path, lamella: Run) -> None:
    key, other = file.parent / "key.pem", file.parent / "other.pem"
    code, public = lamella("keygen", key)
    assert (code, len(public)) == (0, 65)
    _, stranger = lamella("keygen", other)
    assert lamella("verify", file, "--public-key", public.strip())[0] == 9
    assert lamella("sign", file, "--key", key) == (0, public)
    code, text = lamella("inspect", file)
    assert code == 0
    assert public.strip() in text
    code, text = lamella("verify", file, "--public-key", stranger.strip())
    assert code == 9
    assert "ArtifactError" in text
    assert "is signed with the key" in text
    # The signature is right; the program of this toy is none.
    code, text = lamella("verify", file, "--public-key", public.strip())
    assert code == 10
    assert "DeviceError" in text


def test_a_signed_copy_leaves_the_file(file: Path, lamella: Run) -> None:
    before = file.read_bytes()
    key, copy = file.parent / "key.pem", file.parent / "copy.lamella"
    lamella("keygen", key)
    assert lamella("sign", file, "--key", key, "-o", copy)[0] == 0
    assert file.read_bytes() == before
    assert len(copy.read_bytes()) == len(before) + 256


def test_a_missing_key_or_one_in_the_way_is_an_input_error(file: Path, lamella: Run) -> None:
    code, text = lamella("sign", file, "--key", file.parent / "key.pem")
    assert code == 3
    assert "give a private key in PEM without a password, as `lamella keygen` writes it" in text
    code, text = lamella("keygen", file)
    assert code == 3
    assert "exists, and may be a key in use; choose another name" in text
    assert lamella("verify", file, "--public-key", "12ab")[0] == 3
