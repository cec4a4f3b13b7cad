from __future__ import annotations

from pathlib import Path

import pytest

from lamella.errors import InputError
from lamella.frontend import load_model


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere does not exist"):
        load_model(tmp_path / "nowhere")


def test_a_file_that_is_not_gguf_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    file.write_bytes(b"PK")
    with pytest.raises(InputError, match=r"model\.pt is neither a folder nor a \.gguf file"):
        load_model(file)


def test_a_folder_goes_to_the_hugging_face_loader(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no config\.json"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", ["model.gguf", "model.GGUF"])
def test_a_gguf_file_goes_to_the_gguf_loader(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"GGML")
    with pytest.raises(InputError, match="is not a GGUF file: it starts with b'GGML'"):
        load_model(str(file))
