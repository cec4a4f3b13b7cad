"""The skeleton of a .lamella file: header, section table, and where sections lie.

Everything here mirrors FORMAT.md, sections 2 to 4.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from lamella.errors import ArtifactError

MAGIC = b"\x89LAM\r\n\x1a\n"
VERSION = 1
ALIGNMENT = 64
MAX_SECTIONS = 1024
MAX_NAME = 72
MANIFEST = "manifest.json"
SIGNATURE = "ed25519"
KEY_BYTES = 32
SIGNATURE_BYTES = KEY_BYTES + 64

# magic, version, number of sections, file size, reserved; the root digest follows.
_HEADER = struct.Struct("<8sIIQQ")
# kind, length of the name, offset, size, SHA-256 of the section, name padded with zeros.
_ENTRY = struct.Struct(f"<IIQQ32s{MAX_NAME}s")
_DIGEST = 32
HEADER_BYTES = _HEADER.size + _DIGEST
ENTRY_BYTES = _ENTRY.size

# A name is one step of a path that no file system reads as anything but a plain file.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*", re.ASCII)


class Kind(IntEnum):
    """What a section is."""

    MANIFEST = 1
    PROGRAM = 2
    ATTACHMENT = 3
    CANARY = 4
    SIGNATURE = 5


@dataclass(frozen=True, slots=True)
class Section:
    """One row of the section table; `offset` and `size` are bytes, `digest` is SHA-256."""

    kind: Kind
    name: str
    offset: int
    size: int
    digest: bytes

    @property
    def label(self) -> str:
        """Returns how a message calls the section, for example `program/model.onnx`."""
        return f"{self.kind.name.lower()}/{self.name}"


def aligned(size: int) -> int:
    """Returns the least multiple of the alignment that is not below `size`."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def head_bytes(count: int) -> int:
    """Returns the size of header and table, which is where the first section starts."""
    return aligned(HEADER_BYTES + count * ENTRY_BYTES)


def name_flaw(name: str) -> str:
    """Returns what is wrong with the name of a section, or nothing."""
    if len(name) > MAX_NAME:
        return f"the section name {name[:MAX_NAME]!r}... is longer than {MAX_NAME} bytes"
    if _NAME.fullmatch(name) is None:
        return (
            f"the section name {name!r} is not a plain file name; use letters, digits, '.', '_' "
            "and '-', and no '.' or '-' in front"
        )
    return ""


def pack_head(sections: Sequence[Section]) -> bytes:
    """Returns header and table of sections that are in order and in place."""
    end = max(section.offset + aligned(section.size) for section in sections)
    header = _HEADER.pack(MAGIC, VERSION, len(sections), end, 0)
    table = b"".join(
        _ENTRY.pack(
            section.kind,
            len(section.name),
            section.offset,
            section.size,
            section.digest,
            section.name.encode("ascii"),
        )
        for section in sections
    )
    return header + root_digest(header, table) + table


def unsigned_root(sections: Iterable[Section]) -> bytes:
    """Returns the root that a file of these sections has without a signature."""
    sections = tuple(sections)
    kept = [section for section in sections if section.kind is not Kind.SIGNATURE]
    shift = head_bytes(len(sections)) - head_bytes(len(kept))
    moved = [replace(section, offset=section.offset - shift) for section in kept]
    return pack_head(moved)[_HEADER.size : HEADER_BYTES]


def root_digest(header: bytes, table: bytes) -> bytes:
    """Returns SHA-256 of header and table; through the table it vouches for every section."""
    return hashlib.sha256(header + table).digest()


def parse_head(file: memoryview, where: str) -> tuple[bytes, tuple[Section, ...]]:
    """Checks header, table and padding; returns the root digest and the sections in order.

    Args:
        file: the whole file.
        where: what a message calls the file.

    Raises:
        ArtifactError: says which field is wrong.
    """
    count = _parse_header(file, where)
    header = bytes(file[: _HEADER.size])
    root = bytes(file[_HEADER.size : HEADER_BYTES])
    table = bytes(file[HEADER_BYTES : HEADER_BYTES + count * ENTRY_BYTES])
    if root_digest(header, table) != root:
        raise ArtifactError(
            f"{where}: the checksum of the header and the section table does not match; the file "
            "is damaged, copy or build it again"
        )
    rows = tuple(_parse_entry(fields, where) for fields in _ENTRY.iter_unpack(table))
    _check_places(rows, len(file), where)
    _check_padding(file, rows, where)
    return root, rows


def _parse_header(file: memoryview, where: str) -> int:
    """Returns the number of sections, of which header and table fit the file."""
    if not file.nbytes:
        raise ArtifactError(f"{where}: the file is empty")
    if bytes(file[: len(MAGIC)]) != MAGIC[: file.nbytes]:
        start = bytes(file[: len(MAGIC)])
        raise ArtifactError(f"{where}: not a .lamella file: it starts with {start!r}")
    if file.nbytes < HEADER_BYTES:
        raise ArtifactError(
            f"{where}: truncated: {file.nbytes} bytes, the header alone has {HEADER_BYTES}"
        )
    _, version, count, size, reserved = _HEADER.unpack_from(file)
    if version != VERSION:
        raise ArtifactError(
            f"{where}: format version {version}; this lamella reads version {VERSION}"
        )
    if size != file.nbytes:
        flaw = "truncated" if size > file.nbytes else "bytes were added"
        raise ArtifactError(
            f"{where}: {flaw}: the header promises {size} bytes, the file has {file.nbytes}"
        )
    if reserved:
        raise ArtifactError(f"{where}: the reserved field of the header is {reserved}, not 0")
    if not 1 <= count <= MAX_SECTIONS:
        raise ArtifactError(f"{where}: {count} sections; a file has 1 to {MAX_SECTIONS}")
    if head_bytes(count) > size:
        raise ArtifactError(f"{where}: the table of {count} sections does not fit {size} bytes")
    return int(count)


def _parse_entry(fields: tuple[int, int, int, int, bytes, bytes], where: str) -> Section:
    kind, length, offset, size, digest, raw = fields
    if kind not in tuple(Kind):
        raise ArtifactError(f"{where}: a section of unknown kind {kind}")
    if not 1 <= length <= MAX_NAME:
        raise ArtifactError(f"{where}: a section name of {length} bytes; use 1 to {MAX_NAME}")
    if any(raw[length:]):
        raise ArtifactError(f"{where}: bytes after the section name {raw[:length]!r} are not zero")
    name = raw[:length].decode("latin-1")
    flaw = name_flaw(name)
    if flaw:
        raise ArtifactError(f"{where}: {flaw}")
    return Section(Kind(kind), name, offset, size, digest)


def _check_places(sections: Iterable[Section], size: int, where: str) -> None:
    """Checks that sections are ordered, unique, and cover the file without hole or overlap."""
    sections = tuple(sections)
    end = head_bytes(len(sections))
    previous = (0, "")
    for section in sections:
        if (section.kind, section.name) <= previous:
            raise ArtifactError(
                f"{where}: section {section.label} comes twice or out of order (by kind and name)"
            )
        if section.offset != end:
            raise ArtifactError(
                f"{where}: section {section.label} starts at byte {section.offset}, not at {end}"
            )
        if section.size > size - end:
            raise ArtifactError(
                f"{where}: section {section.label} has {section.size} bytes, of which only "
                f"{size - end} fit the file"
            )
        previous = (section.kind, section.name)
        end += aligned(section.size)
    if end != size:
        raise ArtifactError(f"{where}: the sections end at byte {end}, the file at {size}")


def _check_padding(file: memoryview, sections: Iterable[Section], where: str) -> None:
    """Checks the zeros behind every section; the table needs none, its end is aligned."""
    for section in sections:
        end = section.offset + section.size
        if any(file[end : aligned(end)]):
            raise ArtifactError(f"{where}: the padding behind section {section.label} is not zero")
