"""Reads .lamella files and trusts nothing in them: every field is checked before it is used.

Mirrors FORMAT.md. A bad file gives an ArtifactError with a sentence, and nothing else.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lamella.artifact import canary, documents, manifest
from lamella.artifact.contents import Canary, Contents
from lamella.artifact.layout import (
    KEY_BYTES,
    MANIFEST,
    SIGNATURE,
    SIGNATURE_BYTES,
    Kind,
    Section,
    parse_head,
)
from lamella.errors import ArtifactError


@dataclass(frozen=True, slots=True)
class Opened:
    """The front of an artifact: what can be told without reading the program.

    `root` is the digest in the header; it identifies the whole file. `nbytes` is the file's size.
    `signer` is the public key that the file says it was signed with, which nobody has checked;
    None where it is unsigned.
    """

    path: Path
    nbytes: int
    root: bytes
    sections: tuple[Section, ...]
    manifest: dict[str, Any]
    signer: bytes | None = None


def read(path: str | Path, *, verify: bool = True) -> Contents:
    """Maps an artifact and returns its contents as views of the mapped file, without a copy.

    Args:
        path: the file. It may be replaced while it is mapped, as `save` does, but must not be
            truncated in place.
        verify: compare every section with its checksum. Without it, header, table, manifest and
            canary are still checked in full; only damage inside program and attachments passes.

    Raises:
        ArtifactError: the file cannot be read, is damaged, or breaks a rule of FORMAT.md.
    """
    file = _map(path)
    opened, proof = _read(Path(path), file, verify)
    return Contents(
        opened.manifest,
        _files(file, opened.sections, Kind.PROGRAM),
        _files(file, opened.sections, Kind.ATTACHMENT),
        proof,
    )


def read_sections(path: str | Path) -> tuple[tuple[Section, memoryview], ...]:
    """Returns every section with its content, of a file that `read` takes.

    Raises:
        ArtifactError: as `read`.
    """
    file = _map(path)
    opened, _ = _read(Path(path), file, True)
    return tuple((section, _view(file, section)) for section in opened.sections)


def open_manifest(path: str | Path) -> Opened:
    """Reads header, table and manifest, and verifies these; a large program costs nothing.

    Raises:
        ArtifactError: the file cannot be read, or one of these parts is damaged or malformed.
    """
    return _open(Path(path), _map(path))


def _read(path: Path, file: memoryview, verify: bool) -> tuple[Opened, Canary]:
    where = str(path)
    opened = _open(path, file)
    for section in opened.sections:
        if verify or section.kind is Kind.CANARY:
            _check_digest(file, section, where)
    index, tensors = (
        _view(file, _find(opened.sections, Kind.CANARY, name, where))
        for name in (canary.INDEX, canary.TENSORS)
    )
    proof = canary.unpack(index, tensors, where)
    manifest.check(opened.manifest, proof, where)
    return opened, proof


def _open(path: Path, file: memoryview) -> Opened:
    where = str(path)
    root, sections = parse_head(file, where)
    _check_kinds(sections, where)
    section = _find(sections, Kind.MANIFEST, MANIFEST, where)
    _check_digest(file, section, where)
    document = documents.parse(_view(file, section), f"{where}: manifest")
    manifest.check(document, None, where)
    return Opened(path, file.nbytes, root, sections, document, _signer(file, sections, where))


def _signer(file: memoryview, sections: Iterable[Section], where: str) -> bytes | None:
    """Returns the public key of the signature section, where there is one."""
    for section in sections:
        if section.kind is Kind.SIGNATURE:
            _check_digest(file, section, where)
            return bytes(_view(file, section)[:KEY_BYTES])
    return None


def _map(path: str | Path) -> memoryview:
    """Maps a regular file read-only."""
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                what = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
                raise ArtifactError(f"{path} is {what}, not a .lamella file")
            if not status.st_size:
                return memoryview(b"")
            return memoryview(mmap.mmap(handle, status.st_size, access=mmap.ACCESS_READ))
        finally:
            os.close(handle)
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ArtifactError(f"cannot read {str(path)!r}: {error}") from error


def _check_kinds(sections: Iterable[Section], where: str) -> None:
    """Checks that the file holds what it must and nothing that no reader would look at."""
    fixed = {Kind.MANIFEST: {MANIFEST}, Kind.CANARY: {canary.INDEX, canary.TENSORS}}
    sections = tuple(sections)
    for section in sections:
        if section.kind is Kind.SIGNATURE:
            fixed[Kind.SIGNATURE] = {SIGNATURE}
            _check_signature_size(section, where)
    for kind, names in fixed.items():
        found = {section.name for section in sections if section.kind is kind}
        if found != names:
            raise ArtifactError(
                f"{where}: the {kind.name.lower()} sections must be {', '.join(sorted(names))}, "
                f"not {', '.join(sorted(found)) or 'missing'}"
            )
    if not any(section.kind is Kind.PROGRAM for section in sections):
        raise ArtifactError(f"{where}: there is no program section")


def _check_signature_size(section: Section, where: str) -> None:
    if section.size != SIGNATURE_BYTES:
        raise ArtifactError(
            f"{where}: section {section.label} has {section.size} bytes, not {SIGNATURE_BYTES}"
        )


def _find(sections: Iterable[Section], kind: Kind, name: str, where: str) -> Section:
    for section in sections:
        if (section.kind, section.name) == (kind, name):
            return section
    raise ArtifactError(f"{where}: section {kind.name.lower()}/{name} is missing")


def _view(file: memoryview, section: Section) -> memoryview:
    return file[section.offset : section.offset + section.size]


def _check_digest(file: memoryview, section: Section, where: str) -> None:
    if hashlib.sha256(_view(file, section)).digest() != section.digest:
        raise ArtifactError(
            f"{where}: the checksum of section {section.label} does not match; the file is "
            "damaged, copy or build it again"
        )


def _files(file: memoryview, sections: Iterable[Section], kind: Kind) -> dict[str, memoryview]:
    return {section.name: _view(file, section) for section in sections if section.kind is kind}
