"""Verbs on this machine: which kernels it runs, and how fast."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from lamella.cli.console import Output, OutputOption, show
from lamella.cli.smaller import NATIVE, restart_on

kernels = typer.Typer(rich_markup_mode="markdown")
PeersOption = Annotated[
    str | None,
    typer.Option(help="onnxruntime, torch, llamacpp or nothing; without it, those installed."),
]
MachineOption = Annotated[
    str, typer.Option(help="avx2, avxvnni, avx512 or avx512vbmi2: the most that anybody sees.")
]


@kernels.callback(invoke_without_command=True)
def list_kernels(context: typer.Context, output: OutputOption = Output.table) -> None:
    """Lists the kernels of every operation: which run on this processor, and why others do not.

    The environment variable LAMELLA_ISA forces a smaller instruction set, such as avx2.

    Example: `LAMELLA_ISA=avx2 lamella kernels -o json`
    """
    from lamella.errors import DeviceError

    if context.invoked_subcommand is not None:
        return
    try:
        from lamella.runtime.inventory import kernel_table
        from lamella.runtime.inventory import kernels as every_kernel
    except ImportError as error:
        # An instruction set that does not exist or that the processor lacks.
        raise DeviceError(str(error)) from error
    rows = every_kernel()
    show(output, [asdict(row) for row in rows], [kernel_table(rows)])


@kernels.command()
def bench(
    op: Annotated[
        str | None, typer.Option("--op", help="Operations, such as linear_w4a8; without it, all.")
    ] = None,
    shape: Annotated[
        str | None, typer.Option(help="Such as 1x4096x4096; without it, those of the operation.")
    ] = None,
    group: Annotated[int | None, typer.Option(help="Columns with one scale; 32.")] = None,
    threads: Annotated[str, typer.Option(help="Numbers of threads.")] = "1,2",
    peers: PeersOption = None,
    machine: MachineOption = NATIVE,
    isa: Annotated[
        str | None, typer.Option(help="Instruction sets; without it, all but portable.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=3, help="Timed turns of each kernel.")] = 15,
    every: Annotated[
        bool, typer.Option("--all", help="Every shape of every operation: up to 8 minutes.")
    ] = False,
    output: OutputOption = Output.table,
) -> None:
    """Times kernels beside a plain read of memory, a peak of arithmetic and other libraries.

    All of them take turns. Weights and caches of a decoder come from memory, images stay in the
    cache. Without an operation, the first shape of each is timed, in a minute. Lists are separated
    by commas. Needs eight times the last cache of memory.

    Libraries choose their kernels by the processor: beside an `avx2` row stands their AVX-512.
    `--machine avx2` hides what is beyond AVX2 from them and from lamella, as on a processor
    without it; Linux on x86-64 can, where /proc/cpuinfo has cpuid_fault. llama.cpp takes part
    where llama_cpp is installed, and on a smaller machine if it was compiled for no more.

    Example: `lamella kernels bench --machine avx2 --op linear_w4a8,convolutions_w8a8`

    Example: `lamella kernels bench --op linear_w4a8 --shape 1x4096x4096 --threads 1,2 -o json`
    """
    restart_on(machine)
    from lamella.benchmark.kernels.operations import OPS, Plan, time_kernels
    from lamella.benchmark.kernels.timing import speed_table

    chosen, notes = _peers(peers)
    plan = Plan(
        ops=_names(op) if op is not None else tuple(OPS),
        shape=shape,
        group=group,
        threads=tuple(_number(count) for count in _names(threads)),
        peers=chosen,
        isas=_names(isa) if isa is not None else None,
        rounds=rounds,
        all_shapes=every or op is not None,
    )
    rows = time_kernels(plan)
    table = speed_table(rows)
    table.caption = "; ".join([_seen(machine), *notes])
    show(output, [row.flat() for row in rows], [table])


def _seen(machine: str) -> str:
    what = "all of this processor" if machine == NATIVE else f"no more than {machine}"
    return f"machine {machine}: kernels and peers see {what}"


def _peers(text: str | None) -> tuple[tuple[str, ...], list[str]]:
    """Returns the peers that were asked for, or those that are there, and what to say of them."""
    from lamella.benchmark.kernels import ggml, peers_ggml
    from lamella.benchmark.kernels.peers import PEERS

    absent = ggml.missing()
    usual = tuple(name for name in PEERS if name != "llamacpp" or not absent)
    chosen = _names(text) if text is not None else usual
    if "llamacpp" not in chosen:
        return chosen, [f"without llamacpp: {absent}"] if text is None else []
    return chosen, [] if absent else [peers_ggml.described()]


def _names(text: str) -> tuple[str, ...]:
    """Splits a list at its commas; each name counts once."""
    return tuple(dict.fromkeys(name for name in text.split(",") if name))


def _number(text: str) -> int:
    if not text.isdecimal():
        raise typer.BadParameter(f"--threads must be numbers such as 1,2, not {text}")
    return int(text)


GROUPS = {"kernels": kernels}
