"""Damage that happens by itself: flipped bytes, lost ends, added ends. Every one is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile.readers import agree, refuse

from lamella.artifact import read


def test_the_untouched_file_is_read(valid: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.lamella").write_bytes(valid)
    assert read(tmp_path / "x.lamella").program["model.onnx"] == b"weights"
    assert agree(tmp_path / "x.lamella", valid)


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_every_flipped_byte_is_found(valid: bytes, tmp_path: Path, mask: int) -> None:
    path = tmp_path / "x.lamella"
    for place in range(len(valid)):
        raw = bytearray(valid)
        raw[place] ^= mask
        refuse(path, raw)


def test_every_lost_end_is_found(valid: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.lamella"
    for size in range(len(valid)):
        message = refuse(path, valid[:size])
        assert ("truncated" in message) or size == 0


@pytest.mark.parametrize("end", [b"\0", bytes(64), b"x" * 100])
def test_an_added_end_is_found(valid: bytes, tmp_path: Path, end: bytes) -> None:
    assert "bytes were added" in refuse(tmp_path / "x.lamella", valid + end)


def test_swapped_blocks_are_found(valid: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.lamella"
    blocks = [valid[place : place + 64] for place in range(0, len(valid), 64)]
    for first in range(len(blocks) - 1):
        swapped = list(blocks)
        swapped[first], swapped[first + 1] = swapped[first + 1], swapped[first]
        if swapped != blocks:
            refuse(path, b"".join(swapped))


def test_a_transfer_in_text_mode_is_found(valid: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.lamella"
    assert "not a .lamella file" in refuse(path, valid.replace(b"\r\n", b"\n"))
    assert "not a .lamella file" in refuse(path, valid.replace(b"\n", b"\r\n"))
