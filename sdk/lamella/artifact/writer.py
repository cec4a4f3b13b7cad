"""Writes .lamella files: the same contents always give the same bytes, and all or none of them.

Mirrors FORMAT.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lamella import atomic
from lamella.artifact import canary, documents, manifest
from lamella.artifact.contents import Bytes, Contents
from lamella.artifact.layout import (
    MANIFEST,
    MAX_SECTIONS,
    Kind,
    Section,
    aligned,
    head_bytes,
    name_flaw,
    pack_head,
)
from lamella.errors import ArtifactError

_Pieces = Sequence[Bytes]
# Sections in the order of the file, each in pieces.
Payloads = dict[tuple[Kind, str], _Pieces]


def save(path: str | Path, contents: Contents) -> None:
    """Writes an artifact; a reader sees the old file or the new one, never a part.

    The program and the attachments are written from where they lie, without a copy.

    Raises:
        ArtifactError: the contents break a rule of FORMAT.md.
        StorageError: the file cannot be written (the disk is full, the folder is missing); what
            stood at `path` before is untouched.
    """
    path = Path(path)
    write(path, _payloads(contents, str(path)))


def write(path: Path, payloads: Payloads) -> None:
    """Writes a file of these sections, whose content and order keep to FORMAT.md.

    Raises:
        StorageError: as `save`.
    """
    sections = _place(payloads)
    atomic.write(path, _stream(sections, payloads.values()))


def _payloads(contents: Contents, where: str) -> Payloads:
    """Returns the bytes of every section, in the order of the file."""
    manifest.check(contents.manifest, contents.canary, where)
    index, tensors = canary.pack(contents.canary, where)
    text = documents.dump(dict(contents.manifest), f"{where}: manifest")
    payloads: Payloads = {
        (Kind.MANIFEST, MANIFEST): (text,),
        (Kind.CANARY, canary.INDEX): (index,),
        (Kind.CANARY, canary.TENSORS): tensors,
    }
    if not contents.program:
        raise ArtifactError(f"{where}: there is no program to pack")
    for kind, files in ((Kind.PROGRAM, contents.program), (Kind.ATTACHMENT, contents.attachments)):
        for name, content in files.items():
            flaw = name_flaw(name)
            if flaw:
                raise ArtifactError(f"{where}: {flaw}")
            payloads[kind, name] = (memoryview(content).cast("B"),)
    if len(payloads) > MAX_SECTIONS:
        raise ArtifactError(f"{where}: {len(payloads)} sections; a file has at most {MAX_SECTIONS}")
    return dict(sorted(payloads.items()))


def _place(payloads: Payloads) -> list[Section]:
    sections: list[Section] = []
    offset = head_bytes(len(payloads))
    for (kind, name), pieces in payloads.items():
        digest = hashlib.sha256()
        for piece in pieces:
            digest.update(piece)
        size = sum(len(piece) for piece in pieces)
        sections.append(Section(kind, name, offset, size, digest.digest()))
        offset += aligned(size)
    return sections


def _stream(sections: Sequence[Section], payloads: Iterable[_Pieces]) -> Iterator[Bytes]:
    yield pack_head(sections)
    for section, pieces in zip(sections, payloads, strict=True):
        yield from pieces
        yield bytes(aligned(section.size) - section.size)
