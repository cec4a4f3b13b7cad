"""What `lamella inspect FILE.lamella` shows: sections, manifest and layers, as data or tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamella.artifact.reader import Opened, open_manifest

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Inspection:
    """An artifact for a reader's eyes.

    `sections` has one row (section, offset, size, sha256) each; `summary` holds the manifest
    without its layers, and the size and root digest of the file; `layers` is the layer table.
    """

    summary: dict[str, Any]
    sections: tuple[dict[str, Any], ...]
    layers: tuple[dict[str, Any], ...]

    def data(self) -> dict[str, Any]:
        """Returns everything as plain values, ready for JSON."""
        return {
            **self.summary,
            "sections": list(self.sections),
            "layers": list(self.layers),
        }

    def tables(self) -> tuple[Table, ...]:
        """Returns summary, sections and layers for a terminal."""
        return _summary_table(self.summary), _section_table(self.sections), _layer_table(self)


def describe(path: str | Path) -> Inspection:
    """Reads the front of an artifact; neither program nor signature is verified.

    `signed_by` is the public key that the file names.

    Raises:
        ArtifactError: the file cannot be read, or its front is damaged or malformed.
    """
    opened = open_manifest(path)
    summary = {
        "file": str(opened.path),
        "size_bytes": opened.nbytes,
        "root": opened.root.hex(),
        "signed_by": opened.signer.hex() if opened.signer else None,
        **{key: value for key, value in opened.manifest.items() if key != "layers"},
    }
    return Inspection(summary, _section_rows(opened), tuple(opened.manifest["layers"]))


def _section_rows(opened: Opened) -> tuple[dict[str, Any], ...]:
    """Returns a row per section, after one for header, table and padding."""
    used = sum(section.size for section in opened.sections)
    overhead = {
        "section": "header, table, padding",
        "offset": 0,
        "size": opened.nbytes - used,
        "sha256": "",
    }
    rows = (
        {
            "section": section.label,
            "offset": section.offset,
            "size": section.size,
            "sha256": section.digest.hex(),
        }
        for section in opened.sections
    )
    return (overhead, *rows)


def _summary_table(summary: Mapping[str, Any]) -> Table:
    from rich.table import Table

    table = Table(title=summary["file"], show_header=False)
    table.add_column("key")
    table.add_column("value", overflow="fold")
    for key, value in summary.items():
        if key != "file":
            table.add_row(key, _cell(value))
    return table


def _section_table(rows: tuple[dict[str, Any], ...]) -> Table:
    from rich.table import Table

    table = Table(title="sections")
    table.add_column("section", overflow="fold")
    for heading in ("offset", "bytes"):
        table.add_column(heading, justify="right")
    table.add_column("sha256")
    for row in rows:
        cells = (f"{row['offset']:,}", f"{row['size']:,}", row["sha256"][:16])
        table.add_row(_cell(row["section"]), *cells)
    return table


def _layer_table(inspection: Inspection) -> Table:
    from rich.table import Table

    layers = inspection.layers
    total = sum(row["nbytes"] for row in layers)
    table = Table(title=f"{len(layers)} layers, {total:,} bytes")
    for heading in ("layer", "format"):
        table.add_column(heading, overflow="fold")
    for heading in ("bytes", "share"):
        table.add_column(heading, justify="right")
    for row in layers:
        share = row["nbytes"] / total if total else 0.0
        numbers = (f"{row['nbytes']:,}", f"{share:.1%}")
        table.add_row(_cell(row["id"]), _cell(row["format"]), *numbers)
    return table


def _cell(value: Any) -> str:
    """Returns text for a terminal, in which nothing from the file acts as markup or control."""
    from rich.markup import escape

    text = value if isinstance(value, str) else _plain(value)
    return escape("".join(letter if letter.isprintable() else "?" for letter in text))


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_plain(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "; ".join(_plain(item) for item in value)
    return str(value)
