"""Mirrors sdk/lamella/artifact/inspect.py."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from lamella.artifact import Contents, save
from lamella.artifact.inspect import Inspection, describe


def shown(inspection: Inspection) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(*inspection.tables())
    return capture.get()


def test_sizes_add_up_to_the_file(path: Path) -> None:
    inspection = describe(path)
    assert sum(row["size"] for row in inspection.sections) == path.stat().st_size
    assert inspection.summary["size_bytes"] == path.stat().st_size


def test_data_is_json_with_manifest_sections_and_layers(path: Path, contents: Contents) -> None:
    data = json.loads(json.dumps(describe(path).data()))
    assert data["layers"] == contents.manifest["layers"]
    assert data["model"] == {"name": "toy", "licence": "MIT"}
    assert data["sections"][3]["section"] == "program/model.onnx"
    assert data["sections"][3]["size"] == len(b"program bytes")


def test_tables_show_every_section_and_layer(path: Path) -> None:
    text = shown(describe(path))
    for words in ("program/model.onnx", "tokenizer.json", "head", "w4g32", "75.0%", "400 bytes"):
        assert words in text


def test_names_from_the_file_cannot_control_the_terminal(path: Path, contents: Contents) -> None:
    layers = [{"id": "[red]a[/red]\x1b[2J", "format": "[/]", "nbytes": 0}]
    save(path, replace(contents, manifest={**contents.manifest, "layers": layers}))
    text = shown(describe(path))
    assert "[red]a[/red]?[2J" in text
    assert "\x1b[2J" not in text
