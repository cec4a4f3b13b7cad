"""Verbs on finished files, from run to profile; and on who vouches for them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lamella.cli.console import Output, OutputOption, ThreadsOption, show
from lamella.errors import DeviceError

ArtifactArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A .lamella file.")]


def run(
    file: ArtifactArgument,
    inputs: Annotated[Path, typer.Option("--inputs", help="An .npz file, one array per input.")],
    out: Annotated[Path, typer.Option("--output", "-o", help="An .npz file for the outputs.")],
    threads: ThreadsOption = 0,
) -> None:
    """Runs an artifact on arrays.

    Example: `lamella run model.lamella --inputs x.npz -o y.npz`
    """
    from lamella.api.arrays import read_arrays, write_arrays
    from lamella.runtime.session import load

    with load(file, threads=threads) as session:
        outputs = session.run(read_arrays(inputs))
    write_arrays(out, outputs)
    typer.echo(", ".join(f"{name} {list(array.shape)}" for name, array in outputs.items()))


def generate(
    file: ArtifactArgument,
    prompt: Annotated[str, typer.Argument(help="Text to go on from.")],
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens to add.")] = 64,
    temperature: Annotated[float, typer.Option(min=0, help="0: always the likeliest.")] = 0.0,
    top_k: Annotated[int, typer.Option(min=0, help="0: all tokens.")] = 0,
    top_p: Annotated[float, typer.Option(min=0, max=1)] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the sampler.")] = 0,
    threads: ThreadsOption = 0,
) -> None:
    """Continues a prompt with a language model; the tokenizer is inside the artifact.

    Example: `lamella generate model.lamella "The capital of France is"`
    """
    from lamella.runtime.generate import stream
    from lamella.runtime.sampling import Sampling
    from lamella.runtime.session import load

    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    with load(file, threads=threads) as session:
        for piece in stream(session, prompt, max_new_tokens=max_tokens, sampling=sampling):
            typer.echo(piece, nl=False)
    typer.echo()


def inspect(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A .lamella file, or a SPEC.")],
    output: OutputOption = Output.table,
) -> None:
    """Prints what a file or a model holds: sections, layers, formats, bytes.

    Example: `lamella inspect model.lamella -o json`
    """
    if model.endswith(".lamella"):
        from lamella.artifact.inspect import describe

        found = describe(model)
        show(output, found.data(), found.tables())
        return
    from lamella.api.job import traced

    read = traced(model)
    show(output, {"model": read.name, "layers": read.rows()}, [read.table()])


def verify(
    file: ArtifactArgument,
    public_key: Annotated[
        str | None,
        typer.Option("--public-key", help="Who must have signed it: 64 hex digits, or a PEM file."),
    ] = None,
    threads: ThreadsOption = 0,
    output: OutputOption = Output.table,
) -> None:
    """Checks every byte of an artifact and runs its canary on this device.

    Exit code 0 if the outputs are those of the machine that packed it, 9 or 10 if not. Without
    a public key, a signature proves nothing and is not checked.
    Example: `lamella verify model.lamella --public-key maker.pub.pem`
    """
    from lamella.runtime.session import load

    if public_key is not None:
        from lamella.artifact import sign as signing

        signing.verify(file, signing.public_key(public_key))
    with load(file, threads=threads) as session:
        found = session.verify(strict=False)
    show(output, found.row(), [f"{'ok' if found.ok else 'FAILED'}: {found.detail}"])
    if not found.ok:
        raise DeviceError(f"{file}: the canary failed here: {found.detail}")


def bench(
    file: ArtifactArgument,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", help="A second artifact, run in turns.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=2, help="Timed runs of each.")] = 30,
    threads: ThreadsOption = 1,
    output: OutputOption = Output.table,
) -> None:
    """Times an artifact on its canary input: median, p95, spread, memory, size.

    Example: `lamella bench model.lamella --baseline float.lamella --threads 2 -o json`
    """
    from lamella.api.timing import time_artifacts, timing_table

    found = time_artifacts(file, baseline or file, threads=threads, rounds=rounds)
    show(output, asdict(found), [timing_table(found)])


def keygen(
    file: Annotated[Path, typer.Argument(metavar="KEY", help="File for the private key, PEM.")],
) -> None:
    """Makes a key to sign artifacts with, and prints its public half.

    Keep the file secret: only you can read it, and nothing overwrites it. Apps hold the public
    key, and refuse what was not signed with yours. Example: `lamella keygen maker.pem`
    """
    from lamella.artifact.sign import keygen as run

    typer.echo(run(file).hex())


def sign(
    file: ArtifactArgument,
    key: Annotated[Path, typer.Option("--key", help="The private key of `lamella keygen`.")],
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Without it, FILE is replaced.")
    ] = None,
) -> None:
    """Signs an artifact with Ed25519, after checking every byte; prints the public key.

    The signature vouches for the whole file: a device that holds the public key refuses any other.
    Example: `lamella sign model.lamella --key maker.pem`
    """
    from lamella.artifact.sign import sign as run

    typer.echo(run(file, key, out).hex())


def profile(
    file: ArtifactArgument,
    rounds: Annotated[int, typer.Option(min=1, help="Timed runs.")] = 30,
    trace: Annotated[
        Path | None, typer.Option(help="A JSON file for chrome://tracing or Perfetto.")
    ] = None,
    threads: ThreadsOption = 1,
    output: OutputOption = Output.table,
) -> None:
    """Times every call of a native artifact on its canary input, slowest first.

    Example: `lamella profile model.lamella --threads 2 --trace calls.json`
    """
    from lamella.api import profiling

    found = profiling.profile(file, threads=threads, rounds=rounds)
    if trace is not None:
        profiling.write_trace(trace, found)
    show(output, [asdict(call) for call in found], [profiling.profile_table(found)])


VERBS = (run, generate, inspect, verify, bench, profile, keygen, sign)
