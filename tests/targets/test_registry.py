"""Mirrors targets/registry.py."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lamella.errors import InputError
from lamella.targets import registry


@pytest.mark.parametrize("name", registry.TARGETS)
def test_a_target_is_found_by_its_name(name: str) -> None:
    assert registry.get(name).name == name


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'coreml'; the targets are: native, onnx, onnx-a8, tvm"):
        registry.get("coreml")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.TARGETS, "onnx-a8", ("a_package_that_is_not_there", "Target", {}))
    with pytest.raises(InputError, match=r"a_package_that_is_not_there.*lamella\[onnx\]"):
        registry.get("onnx-a8")


def test_the_list_itself_loads_no_back_end() -> None:
    code = (
        "import sys, lamella.targets.registry\n"
        "print([name for name in ('torch', 'onnx', 'tvm', 'onnxruntime') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
