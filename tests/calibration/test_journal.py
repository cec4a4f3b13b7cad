"""Mirrors calibration/journal.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from lamella.calibration.journal import Journal
from lamella.calibration.sensitivity import SensitivityRow

ROWS = [SensitivityRow(f"layer.{i}", "w8", 0.1 / (i + 3), 1e-30 / 3, 1 / 7) for i in range(3)]


def filled(path: Path) -> bytes:
    with Journal(path, "job") as journal:
        for row in ROWS:
            journal.append(row)
    return path.read_bytes()


def test_rows_come_back_exactly(tmp_path: Path) -> None:
    filled(tmp_path / "journal")
    with Journal(tmp_path / "journal", "job") as journal:
        assert list(journal.rows.values()) == ROWS


@pytest.mark.parametrize("cut", [1, 2, 20, 60])
def test_a_truncated_last_line_is_ignored_and_replaced(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal"
    whole = filled(path)
    path.write_bytes(whole[:-cut])
    with Journal(path, "job") as journal:
        assert list(journal.rows.values()) == ROWS[:2]
        journal.append(ROWS[2])
    assert path.read_bytes() == whole


@pytest.mark.parametrize("content", [b"", b"\xff\xfe garbage", b"[]\n{}\n"])
def test_a_file_that_is_no_journal_is_started_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal"
    whole = filled(path)
    path.write_bytes(content)
    assert filled(path) == whole


def test_the_rows_of_another_job_are_dropped(tmp_path: Path) -> None:
    filled(tmp_path / "journal")
    with Journal(tmp_path / "journal", "other") as journal:
        assert journal.rows == {}
    assert len((tmp_path / "journal").read_bytes().splitlines()) == 1


def test_without_a_path_rows_are_kept_in_memory_only() -> None:
    with Journal(None, "job") as journal:
        journal.append(ROWS[0])
        assert list(journal.rows.values()) == ROWS[:1]
