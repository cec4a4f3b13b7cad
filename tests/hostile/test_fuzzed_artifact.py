"""Random files: whatever comes, a reader returns or raises ArtifactError, quickly and in little."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile.forge import resign
from hostile.readers import agree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamella.artifact import layout, open_manifest
from lamella.artifact.inspect import describe
from lamella.errors import ArtifactError

# The fixtures hold no state that one example could leave to the next.
FUZZ = settings(
    max_examples=200,
    deadline=2000,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
# A reader keeps a copy of the manifest and its parsed form; a small file needs far less than this.
MAX_PEAK = 8 << 20


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    tracemalloc.start()
    yield tmp_path / "x.lamella"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MAX_PEAK


def read_or_refuse(path: Path, raw: bytes) -> None:
    agree(path, raw)
    for verb in (open_manifest, describe):
        with contextlib.suppress(ArtifactError):
            verb(path)


EDITS = st.lists(st.tuples(st.integers(0, 1 << 16), st.binary(max_size=9)), min_size=1, max_size=6)


def edited(raw: bytes, edits: list[tuple[int, bytes]], end: int) -> bytearray:
    copy = bytearray(raw)
    for place, content in edits:
        place %= min(end, len(copy))
        copy[place : place + len(content)] = content
    return copy[: len(raw)]


@FUZZ
@given(raw=st.binary(max_size=400))
def test_random_bytes(path: Path, raw: bytes) -> None:
    read_or_refuse(path, raw)


@FUZZ
@given(raw=st.binary(max_size=600))
def test_random_bytes_behind_a_true_magic(path: Path, raw: bytes) -> None:
    head = layout.MAGIC + (1).to_bytes(4, "little") + raw[:52].ljust(52, b"\0")
    whole = bytearray(head + raw[52:])
    whole[16:24] = len(whole).to_bytes(8, "little")
    read_or_refuse(path, resign(whole))


@FUZZ
@given(edits=EDITS)
def test_random_edits(path: Path, valid: bytes, edits: list[tuple[int, bytes]]) -> None:
    read_or_refuse(path, bytes(edited(valid, edits, len(valid))))


@FUZZ
@given(edits=EDITS)
def test_random_edits_with_true_checksums(
    path: Path, valid: bytes, edits: list[tuple[int, bytes]]
) -> None:
    read_or_refuse(path, resign(edited(valid, edits, len(valid))))


@FUZZ
@given(edits=EDITS)
def test_random_edits_of_the_table_with_true_checksums(
    path: Path, valid: bytes, edits: list[tuple[int, bytes]]
) -> None:
    read_or_refuse(path, resign(edited(valid, edits, 64 + 5 * 128)))


@FUZZ
@given(cuts=st.lists(st.integers(0, 1 << 16), min_size=2, max_size=4))
def test_pieces_left_out_or_repeated(path: Path, valid: bytes, cuts: list[int]) -> None:
    places = [cut % len(valid) for cut in cuts]
    read_or_refuse(path, b"".join(valid[a:] for a in places))
    read_or_refuse(path, valid[: places[0]] + valid[places[1] :])
