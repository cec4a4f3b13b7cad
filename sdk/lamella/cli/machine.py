"""Verbs on this machine: which kernels it runs, and how fast."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from lamella.cli.console import Output, OutputOption, show

kernels = typer.Typer(rich_markup_mode="markdown")


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
        str | None, typer.Option("--op", help="One width, such as linear_w4a8; without it, all.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=3, help="Timed turns of each kernel.")] = 15,
    output: OutputOption = Output.table,
) -> None:
    """Times the kernels of linear layers on weights that come from memory.

    Decoding of one token and a prompt of 64, with 1 and 2 threads, each beside a plain read of
    memory and the portable kernel. Takes half a minute, and six times the last cache of memory.

    Example: `lamella kernels bench --op linear_w4a8 -o json`
    """
    from lamella.benchmark.kernels import speed_table, time_kernels
    from lamella.formats import WEIGHT_BITS

    widths = {f"linear_w{bits}a8": bits for bits in WEIGHT_BITS}
    if op is not None and op not in widths:
        raise typer.BadParameter(f"--op must be one of {', '.join(widths)}, not {op}")
    chosen = tuple(widths.values()) if op is None else (widths[op],)
    rows = time_kernels(chosen, threads=(1, 2), rounds=rounds)
    show(output, [asdict(row) for row in rows], [speed_table(rows)])


GROUPS = {"kernels": kernels}
