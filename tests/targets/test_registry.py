"""Mirrors targets/registry.py."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lamella.errors import InputError
from lamella.targets import registry


def test_the_onnx_target_is_found_by_name() -> None:
    assert registry.get("onnx").name == "onnx"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'coreml'; the targets are: onnx, tvm"):
        registry.get("coreml")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.TARGETS, "onnx", ("a_package_that_is_not_there", "Target"))
    with pytest.raises(InputError, match=r"a_package_that_is_not_there.*lamella\[onnx\]"):
        registry.get("onnx")


def test_the_list_itself_loads_no_back_end() -> None:
    code = (
        "import sys, lamella.targets.registry\n"
        "print([name for name in ('torch', 'onnx', 'tvm', 'onnxruntime') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
