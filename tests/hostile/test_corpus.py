"""The kept files of `corpus`: both readers refuse each for the reason that its README gives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hostile.forge import seeds
from hostile.readers import agree, refuse

CORPUS = Path(__file__).resolve().parent / "corpus"
ROW = re.compile(r"\| `(\w+\.lamella)` \| .+ \| (.+) \|")
WORDS = dict(ROW.findall((CORPUS / "README.md").read_text()))


def test_the_list_is_that_of_the_folder() -> None:
    assert sorted(WORDS) == sorted(path.name for path in CORPUS.glob("*.lamella"))


@pytest.mark.parametrize("name", WORDS)
def test_a_kept_file_is_refused_by_both_readers(name: str, tmp_path: Path) -> None:
    refuse(tmp_path / "x.lamella", (CORPUS / name).read_bytes(), re.escape(WORDS[name]))


@pytest.mark.parametrize("name", seeds())
def test_the_seeds_of_the_fuzzer_are_taken_by_both_readers(name: str, tmp_path: Path) -> None:
    assert agree(tmp_path / "x.lamella", seeds()[name])
