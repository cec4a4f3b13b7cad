"""Starts a command again as on a smaller processor, of which nobody sees what is beyond it.

Libraries ask the processor when they are loaded. So a new process (`lamella.cli.hidden`) hides
its features before it loads any.
"""

from __future__ import annotations

import os
import sys

from lamella.errors import DeviceError, InputError

NATIVE = "native"
# The C library chooses how to copy memory while a process starts, before anything is hidden.
C_LIBRARY = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX512CD"


def restart_on(machine: str) -> None:
    """Starts this command again where nobody sees more than `machine`; returns where that is so.

    Raises:
        DeviceError: neither processor nor system can hide what the processor has.
        InputError: it has no such instruction set.
    """
    from lamella import _native

    if machine == (_native.hidden_beyond() or NATIVE):
        return
    if not _native.can_hide_features():
        raise DeviceError(
            f"--machine {machine} needs Linux on an x86-64 processor whose CPUID can fault "
            "(cpuid_fault in /proc/cpuinfo); leave it out to compare on the whole processor"
        )
    known = _native.isa_of_this_processor()[1:]
    if machine not in known:
        names = ", ".join([NATIVE, *known])
        raise InputError(f"--machine knows {names} on this processor, not {machine!r}")
    tunables = [os.environ.get("GLIBC_TUNABLES", ""), "" if "avx512" in machine else C_LIBRARY]
    environment = {
        **os.environ,
        "LAMELLA_ISA": machine,
        "GLIBC_TUNABLES": ":".join(filter(None, tunables)),
    }
    # The folder of the caller is searched for modules only where it is already.
    safe = [] if sys.path[0] in ("", os.getcwd()) else ["-P"]
    command = [sys.executable, *safe, "-m", "lamella.cli.hidden", machine, *sys.argv[1:]]
    sys.stdout.flush()
    os.execve(sys.executable, command, environment)
