"""What must hold of the checkout itself, so that it can be built, installed and checked."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "sdk" / "lamella"
LINKS = {"targets": "../../targets", "calibration": "../../calibration"}


# What setup.py packs by itself, builds, or leaves out.
BUILT = (".py", ".pyc", ".so")


def package_files() -> list[Path]:
    return [
        Path(folder) / name
        for folder, _, files in os.walk(PACKAGE, followlinks=True)
        for name in files
    ]


def package_folders() -> list[Path]:
    return sorted({path.parent for path in package_files() if path.suffix == ".py"})


def packed_patterns() -> list[str]:
    """Returns the list DATA of setup.py, which cannot be imported without running it."""
    for statement in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "DATA":
            patterns: list[str] = ast.literal_eval(statement.value)
            return patterns
    raise AssertionError("setup.py has no list DATA")


@pytest.mark.parametrize(("name", "target"), LINKS.items())
def test_a_linked_package_is_a_relative_link(name: str, target: str) -> None:
    link = PACKAGE / name
    assert link.is_symlink(), f"{link} must be a symbolic link to {target}"
    assert os.readlink(link) == target
    assert link.is_dir()


@pytest.mark.parametrize("folder", package_folders(), ids=lambda path: path.name)
def test_every_folder_with_python_code_is_a_package(folder: Path) -> None:
    # setuptools packs packages only: a folder without the file is missing from a wheel.
    assert (folder / "__init__.py").is_file()


def test_every_other_file_of_the_package_is_packed_by_a_pattern() -> None:
    names = [pattern.removeprefix("**/") for pattern in packed_patterns()]
    others = [path for path in package_files() if path.suffix not in BUILT]
    missing = [path for path in others if not any(path.match(name) for name in names)]
    assert missing == []


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
    assert (PACKAGE / "_native.pyi").is_file()


@pytest.mark.parametrize(("content", "made"), [("../../targets", "a text file"), (None, "nothing")])
def test_setup_stops_with_a_sentence_where_a_link_is_none(
    tmp_path: Path, content: str | None, made: str
) -> None:
    (tmp_path / "sdk" / "lamella" / "calibration").mkdir(parents=True)
    shutil.copy(ROOT / "setup.py", tmp_path)
    if content is not None:
        (tmp_path / "sdk" / "lamella" / "targets").write_text(content)
    done = subprocess.run(
        [sys.executable, "setup.py", "--version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "lamella/targets must be a symbolic link to ../../targets" in done.stderr
    assert f"made it {made}; check out again" in done.stderr
    assert "Traceback" not in done.stderr
