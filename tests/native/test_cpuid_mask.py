"""Mirrors native/bind/cpuid_mask.cc: what is hidden, each time in a fresh process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lamella import _native

needs_faults = pytest.mark.skipif(
    not _native.can_hide_features(), reason="CPUID cannot be made to fault here (cpuid_fault)"
)
EAX, EBX, ECX, EDX = range(4)
# By the manuals of the makers: subleaf of leaf 7, register, bit, and the sets that keep it.
AVX512 = ("avx512", "avx512vbmi2")
BITS = {
    "avx512f": (0, EBX, 16, AVX512),
    "avx512dq": (0, EBX, 17, AVX512),
    "avx512ifma": (0, EBX, 21, ("avx512vbmi2",)),
    "avx512cd": (0, EBX, 28, AVX512),
    "avx512bw": (0, EBX, 30, AVX512),
    "avx512vl": (0, EBX, 31, AVX512),
    "avx512vbmi": (0, ECX, 1, ("avx512vbmi2",)),
    "avx512vbmi2": (0, ECX, 6, ("avx512vbmi2",)),
    "gfni": (0, ECX, 8, ("avxvnni", "avx512vbmi2")),
    "vaes": (0, ECX, 9, ("avxvnni", "avx512vbmi2")),
    "vpclmulqdq": (0, ECX, 10, ("avxvnni", "avx512vbmi2")),
    "avx512vnni": (0, ECX, 11, AVX512),
    "avx512bitalg": (0, ECX, 12, ("avx512vbmi2",)),
    "avx512vpopcntdq": (0, ECX, 14, ("avx512vbmi2",)),
    "avx512vp2intersect": (0, EDX, 8, ()),
    "amx_bf16": (0, EDX, 22, ()),
    "avx512fp16": (0, EDX, 23, ()),
    "amx_tile": (0, EDX, 24, ()),
    "amx_int8": (0, EDX, 25, ()),
    "avxvnni": (1, EAX, 4, ("avxvnni",)),
    "avx512bf16": (1, EAX, 5, ()),
    "amx_fp16": (1, EAX, 21, ()),
    "avxifma": (1, EAX, 23, ()),
    "avxvnniint8": (1, EDX, 4, ()),
    "avxneconvert": (1, EDX, 5, ()),
    "amx_complex": (1, EDX, 8, ()),
    "avxvnniint16": (1, EDX, 10, ()),
    "avx10": (1, EDX, 19, ()),
    "apx": (1, EDX, 21, ()),
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def hiding(*lines: str) -> subprocess.CompletedProcess[str]:
    head = ("import ctypes, faulthandler, os, signal, threading", "from lamella import _native")
    return run("-c", "\n".join((*head, *lines)))


@needs_faults
@pytest.mark.parametrize("isa", _native.isa_of_this_processor()[1:])
def test_all_that_is_beyond_a_set_vanishes_and_nothing_else(isa: str) -> None:
    done = run(str(Path(__file__).with_name("cpuid.py")), isa)
    assert done.returncode == 0, done.stderr
    before, after, in_thread = json.loads(done.stdout)
    expected = {leaf: list(registers) for leaf, registers in before.items()}
    for subleaf, register, bit, keepers in BITS.values():
        if isa not in keepers:
            expected[f"7.{subleaf}"][register] &= ~(1 << bit)
    assert after == expected
    assert in_thread == expected


@needs_faults
@pytest.mark.parametrize(
    "death",
    [
        "ctypes.string_at(8)",
        "thread = threading.Thread(target=ctypes.string_at, args=(8,)); thread.start()",
        "ctypes.string_at(1 << 62)",  # no address at all: a fault like that of CPUID
        "ctypes.CFUNCTYPE(None)(8)()",  # the instruction itself cannot be read
        "os.kill(os.getpid(), signal.SIGSEGV)",
    ],
)
@pytest.mark.parametrize("handler", ["", "faulthandler.enable()"])
def test_a_real_fault_still_ends_the_process(death: str, handler: str) -> None:
    done = hiding(handler, "_native.hide_features('avx2')", death)
    assert done.returncode == -signal.SIGSEGV
    assert ("Fatal Python error: Segmentation fault" in done.stderr) == bool(handler)


@needs_faults
def test_another_program_sees_everything_again() -> None:
    done = hiding(
        "import sys",
        "_native.hide_features('avx2')",
        "print(_native.hidden_beyond(), flush=True)",
        "name = 'from lamella import _native; print(repr(_native.hidden_beyond()), _native.isa())'",
        "os.execv(sys.executable, [sys.executable, '-c', name])",
    )
    assert done.stdout == f"avx2\n'' {_native.isa()}\n"


@needs_faults
def test_a_second_call_is_refused() -> None:
    done = hiding("_native.hide_features('avx2')", "_native.hide_features('avx2')")
    assert "RuntimeError: this process already hides what is beyond avx2" in done.stderr


@pytest.mark.parametrize("isa", ["portable", "avx1024", ""])
def test_a_set_that_is_none_is_refused(isa: str) -> None:
    with pytest.raises(ValueError, match=f"of this processor but portable, not {isa}"):
        _native.hide_features(isa)
    assert _native.hidden_beyond() == ""


@pytest.mark.skipif(_native.can_hide_features(), reason="CPUID can be made to fault here")
def test_where_nothing_can_be_hidden_it_is_said() -> None:
    with pytest.raises(RuntimeError, match="CPUID cannot be made to fault"):
        _native.hide_features(_native.isa_of_this_processor()[1])
