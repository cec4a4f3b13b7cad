"""The worked example of native/KERNELS.md is all that a new kernel costs: a file and a row."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from native.probes import COMPILERS, NATIVE, SANITIZERS, build, run_probe

from lamella import _native


def example() -> tuple[str, str]:
    """Returns the code of the new file and the row."""
    _, _, text = (NATIVE / "KERNELS.md").read_text().partition("### A worked example\n")
    section, _, _ = text.partition("\n## ")
    code, row = re.findall(r"^```cpp\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return code, row


@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_kernel_is_listed_selected_and_gives_the_same_bits(compiler: str, tmp_path: Path) -> None:
    if "avx2" not in _native.isa_of_this_processor():
        pytest.skip("the example is untested: this processor lacks AVX2")
    native = tmp_path / "native"
    shutil.copytree(NATIVE, native)
    operation = native / "kernels" / "kv_store"
    code, row = example()
    (operation / "kv_store_avx2.cc").write_text(code)
    rows = operation / "kernels.inc"
    heading, portable = rows.read_text().splitlines(keepends=True)
    rows.write_text(heading + row + portable)

    program = build(compiler, tmp_path, "probe_example", ("kv_store",), *SANITIZERS, native=native)
    expected, reference = run_probe([program, "1"], "portable")
    given, ran = run_probe([program, "1"], "avx2")
    assert given.split()[:2] == [b"kv_store_avx2", b"kv_store_portable"]
    assert set(reference) == {"kv_store_portable"}
    assert set(ran) == {"kv_store_avx2"}
    assert given == expected
