"""Compiles a Relax module for one machine and links it into a shared library.

The library has no build id, no paths and no time in it: equal inputs give equal bytes.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tvm
from tvm import ir, relax, tirx
from tvm.relax.backend.cpu_generic import pipeline as cpu
from tvm.target import Target

from lamella.errors import LoweringError
from lamella.targets.tvm.schedule import schedule_module

Triple = Literal["x86_64", "aarch64", "cuda"]

# Channels last, so that vectors run across output channels whatever the size of the image.
_LAYOUT = {"relax.nn.conv2d": ["NHWC", "HWIO"]}
# TVM's OpPatternKind::kInjective.
_INJECTIVE = 2
_LINK_FLAGS = ("-shared", "-fPIC", "-s", "-Wl,--build-id=none", "-Wl,--as-needed")


@dataclass(frozen=True, slots=True)
class Machine:
    """What code is generated for.

    `target` is what TVM takes, `architecture` what `uname -m` says there, and `needs` the flags
    of /proc/cpuinfo without which the code must not run.
    """

    target: dict[str, Any]
    architecture: str
    needs: tuple[str, ...] = ()

    @property
    def linker(self) -> str:
        """Returns the compiler driver that links for the machine."""
        native = platform.machine() == self.architecture
        return "g++" if native else f"{self.architecture}-linux-gnu-g++"


_X86 = {"kind": "llvm", "mtriple": "x86_64-linux-gnu", "mcpu": "x86-64-v3"}
_ARM = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "generic"}
# What x86-64-v3 adds to every 64-bit x86 that code for floats makes use of.
_AVX2 = ("avx2", "bmi1", "bmi2", "f16c", "fma")

MACHINES: dict[Triple, Machine] = {
    "x86_64": Machine(_X86, "x86_64", _AVX2),
    "aarch64": Machine(_ARM, "aarch64"),
    "cuda": Machine({"kind": "cuda", "arch": "sm_80", "host": _X86}, "x86_64", _AVX2),
}


def compile_library(module: ir.IRModule, triple: Triple) -> bytes:
    """Returns a shared library that holds `main` of the module as a TVM executable.

    Raises:
        LoweringError: the compiler for the machine is missing, or TVM cannot compile the module.
    """
    machine = MACHINES[triple]
    for program in (machine.linker, *(("nvcc",) if triple == "cuda" else ())):
        if shutil.which(program) is None:
            raise LoweringError(
                f"compiling for {triple} needs the program {program}, which is not on the path; "
                "install it, or use `--target onnx`"
            )
    target = Target(machine.target)
    try:
        with target:
            executable = tvm.compile(_lower(module, target), target=target, relax_pipeline=None)
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise LoweringError(
            f"TVM cannot compile the model for {triple}: {reason}; use `--target onnx`"
        ) from error
    return _link(executable.mod, machine.linker)


def _lower(module: ir.IRModule, target: Target) -> ir.IRModule:
    """Runs TVM's own passes; on a CPU with our layout and schedules between them."""
    if target.kind.name == "cuda":
        return relax.get_default_pipeline(target)(module)
    transform = relax.transform
    legalise = (
        *cpu.library_dispatch_passes(target),
        transform.LegalizeOps(),
        transform.AnnotateTIROpPattern(),
    )
    fuse = (transform.FoldConstant(), transform.FuseOps(), transform.FuseTIR())
    finish = (*cpu.dataflow_lower_passes(target), *cpu.finalize_passes(target))
    legal = tvm.transform.Sequential(legalise)(_channels_last(module))
    fused = tvm.transform.Sequential(fuse)(_open_tables(legal))
    return tvm.transform.Sequential(finish)(schedule_module(fused, target))


def _channels_last(module: ir.IRModule) -> ir.IRModule:
    """Returns the module with its convolutions in the layout that the schedules are made for."""
    found: list[Any] = []
    relax.analysis.post_order_visit(module["main"], found.append)
    convolution = ir.Op.get("relax.nn.conv2d")
    if not any(isinstance(part, relax.Call) and part.op == convolution for part in found):
        return module
    try:
        return relax.transform.ConvertLayout(_LAYOUT)(module)
    except RuntimeError:
        # TVM cannot carry the layout through some operators; the model is right in its own too.
        return module


def _open_tables(module: ir.IRModule) -> ir.IRModule:
    """Lets an embedding unpack the rows it reads, instead of the whole table before it.

    TVM fuses nothing into an operator whose indices are data, unless told that each of its
    outputs is a function of single elements of its inputs.
    """
    functions = dict(module.functions_items())
    for name, function in functions.items():
        if isinstance(function, tirx.PrimFunc) and re.fullmatch(r"take\d*", name.name_hint):
            functions[name] = function.with_attr("op_pattern", _INJECTIVE)
    return ir.IRModule(functions, attrs=module.attrs)


def _link(module: Any, linker: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="lamella-tvm-") as folder:

        def link(output: str, objects: list[str], **_: Any) -> None:
            command = [linker, *_LINK_FLAGS, "-o", output, *objects]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise LoweringError(
                    f"{linker} cannot link the library that TVM compiled: {done.stderr.strip()}"
                )

        path = Path(folder) / "model.so"
        module.export_library(str(path), fcompile=link, workspace_dir=folder)
        return path.read_bytes()
