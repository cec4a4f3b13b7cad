"""Mirrors tests/native/loop*.py: what `make kernel-loops` counts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from native.loop_code import Instruction
from native.loop_rows import X86, Row, rows
from native.rows import ROWS

from native import loop_code, loop_model, loops

DISASSEMBLED = """
0000000000000000 <void hot<4, 1ul>(int)>:
   0:\tmov    %rdi,%rax
   4:\tvmovdqu (%rax),%ymm1        # 20 <x>
   8:\ttest   %rdx,%rdx
   c:\tje     14 <void hot<4, 1ul>(int)+0x14>
  10:\t{vex} vpdpbusd 0x20(%rax),%ymm1,%ymm2
  14:\tadd    $0x20,%rax
  18:\tcmp    %rax,%rsi
  1c:\tjne    4 <void hot<4, 1ul>(int)+0x4>
  20:\tvpdpbusd %ymm1,%ymm1,%ymm2
  24:\tjmp    28 <void hot<4, 1ul>(int)+0x28>
  28:\tret
  2c:\tjmp    20 <void hot<4, 1ul>(int)+0x20>
"""


@pytest.fixture
def code(tmp_path: Path) -> list[Instruction]:
    tool = tmp_path / "objdump"
    tool.write_text(f"#!/bin/sh\ncat <<'END'{DISASSEMBLED}END\n")
    tool.chmod(0o755)
    (found,) = loop_code.functions(str(tool), tmp_path / "x.o").values()
    return found


def test_a_loop_is_the_way_on_which_no_condition_holds(code: list[Instruction]) -> None:
    # The jump at 2c goes back, but what runs from there leaves the function.
    (way,) = loop_code.loops(code)
    assert [one.address for one in way] == [0x4, 0x8, 0xC, 0x10, 0x14, 0x18, 0x1C]
    assert [one.kind for one in way] == ["load", *2 * ["scalar"], "multiply", *3 * ["scalar"]]
    assert [one.bytes for one in way] == [32, 0, 0, 32, 0, 0, 0]


def test_products_are_those_of_the_registers(code: list[Instruction]) -> None:
    (way,) = loop_code.loops(code)
    row = Row("title", "linear_a8/linear_a8_avxvnni", "hot", ("vpdpbusd", 1.0), share=0.5)
    assert [loops.products(row, one) for one in way] == [0, 0, 0, 16, 0, 0, 0]


@pytest.mark.parametrize(
    ("text", "kind", "size"),
    [
        ("vpbroadcastd 0x4(%rdx),%zmm14", "load", 4),
        ("vpdpbusd 0x4(%rdx){1to16},%zmm1,%zmm14", "multiply", 4),
        ("vinserti64x4 $0x1,0x20(%rax),%zmm0,%zmm1", "other", 32),
        ("vpmovsxbd (%rax),%zmm0", "other", 16),
        ("vmovups %zmm0,(%rax)", "store", 0),
        ("vmovaps %zmm0,%zmm1", "other", 0),
        ("vpaddw %ymm0,%ymm1,%ymm2", "add", 0),
        ("vfmadd231ps 0x40(%rsp),%zmm1,%zmm2", "multiply", 64),
        ("vcvtdq2ps %ymm0,%ymm0", "other", 0),
        ("prefetcht0 (%rax)", "scalar", 0),
        ("mov 0x28(%rsp),%rbx", "scalar", 8),
        ("ldp q0, q1, [x0, #32]", "load", 32),
        ("ld1r {v2.4s}, [x0]", "load", 4),
        ("smlal v2.8h, v0.8b, v1.8b", "multiply", 0),
        ("sadalp v2.4s, v1.8h", "add", 0),
        ("ushr v2.16b, v1.16b, #4", "other", 0),
    ],
)
def test_instructions_are_counted_by_what_they_do(text: str, kind: str, size: int) -> None:
    one = Instruction(0, text)
    assert (one.kind, one.bytes) == (kind, size)


def test_every_row_names_kernels_and_follows_its_peak() -> None:
    seen = set()
    for row in rows():
        seen.add(f"{row.title}, {row.isa}")
        assert row.compared in seen
        work = row.title.partition(",")[0].replace("_f32", "").replace("_int8", "")
        assert any(name.startswith(work) and name.endswith(f"_{row.isa}") for name in ROWS)
    assert len(seen) == len(list(rows()))


def test_the_model_says_what_limits_a_loop() -> None:
    if shutil.which(loop_model.TOOL) is None:
        pytest.skip(f"{loop_model.TOOL} is not installed")
    jump = Instruction(99, "jne 0 <f>")
    sums = [Instruction(i, f"vpdpbusd %ymm15,%ymm14,%ymm{i}") for i in range(12)]
    free = loop_model.run([*sums, jump], X86, "sapphirerapids")
    assert free.cycles == pytest.approx(6, rel=0.05)
    assert free.limit.startswith("p0 p1 ")
    waiting = loop_model.run([sums[0], jump], X86, "sapphirerapids")
    assert waiting.cycles == pytest.approx(5, rel=0.05)
    assert waiting.limit.startswith("waits; ")


def test_a_tool_that_is_not_there_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if "mca" in name else name)
    with pytest.raises(SystemExit, match="llvm-mca-16 is not installed; install llvm-16"):
        loops.main()
