"""The last stages: lower a compressed model, pack it, run what was packed, and say what it does."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lamella import __version__, atomic, formats
from lamella.artifact.canary import PERIOD
from lamella.artifact.contents import Array, Canary, Contents
from lamella.artifact.manifest import Port
from lamella.artifact.writer import save
from lamella.benchmark import measure
from lamella.benchmark.fidelity import Feeds, Predict
from lamella.frontend.model import Model
from lamella.planner.spec import Plan
from lamella.progress import track
from lamella.runtime.decoder import decoder_feeds, has_cache
from lamella.runtime.session import RUNNERS, Session, load
from lamella.targets.target import Lowered, Target

# Tokens, or whatever an open axis counts, in the canary.
CANARY_LENGTH = 4


def pack(
    lowered: Lowered,
    model: Model,
    plan: Plan,
    example: Feeds,
    path: Path,
    generation: Mapping[str, Any],
) -> None:
    """Runs the lowered program once for the canary and writes the artifact.

    Args:
        lowered: the program.
        model: the model, float or compressed: what the artifact is called and comes with.
        plan: what was carried out.
        example: a batch, for the canary.
        path: of the artifact.
        generation: how a decoder begins and ends, {} for others.

    Raises:
        StorageError: the file cannot be written; what stood there before is untouched.
    """
    from importlib import import_module

    runner = import_module(RUNNERS[lowered.target]).open_program(lowered.program, 1)
    ports = [Port(**port) for port in lowered.inputs]
    example = _rows(example, 0, _fixed_batch(ports) or 1)
    inputs = program_feeds(ports, canary_example(ports, example))
    outputs = runner.run(dict(inputs))
    manifest = {
        "lamella": __version__,
        "target": lowered.target,
        "model": {"name": model.name, "licence": model.licence, "parameters": model.parameters},
        "inputs": list(lowered.inputs),
        "outputs": list(lowered.outputs),
        "layers": list(lowered.layers),
        "canary": tolerance(lowered, outputs),
        "plan": plan.hash,
        "notes": list(lowered.notes),
        "generation": dict(generation),
    }
    attachments = {**model.attachments, "plan.yaml": plan.to_yaml()}
    save(path, Contents(manifest, lowered.program, attachments, Canary(inputs, outputs)))


def canary_example(ports: Sequence[Port], example: Feeds) -> dict[str, Array]:
    """Makes an example small enough to travel inside the artifact.

    Axes behind the batch that the program leaves open are cut to CANARY_LENGTH, so that a
    language model's logits stay small; large floating inputs repeat their first bytes, which the
    artifact stores once.
    """
    small = {}
    for port in ports:
        if port.name not in example:
            continue
        kept = [
            slice(None) if position == 0 or isinstance(axis, int) else slice(CANARY_LENGTH)
            for position, axis in enumerate(port.shape)
        ]
        cut = np.ascontiguousarray(np.asarray(example[port.name])[tuple(kept)])
        large = cut.nbytes > PERIOD and cut.dtype.kind == "f"
        first = cut.reshape(-1)[: PERIOD // cut.itemsize]
        small[port.name] = np.resize(first, cut.shape) if large else cut
    return small


def program_feeds(ports: Sequence[Port], batch: Feeds) -> dict[str, Array]:
    """Returns what a program takes, from a batch for the module that it was made of.

    A language model that keeps a cache gets what the batch does not have: a mask that hides no
    token, positions, and a cache without tokens.
    """
    given = {port.name: np.asarray(batch[port.name]) for port in ports if port.name in batch}
    return {**decoder_feeds(ports, given["input_ids"]), **given} if has_cache(ports) else given


def tolerance(lowered: Lowered, outputs: Mapping[str, Array]) -> dict[str, float]:
    """Returns how far another processor's outputs may lie from the canary's.

    Other kernels add in another order. How much that matters was measured by switching the graph
    optimisations of onnxruntime on and off. With float activations the outputs of a CNN and of a
    sentence encoder differ by at most 1.5e-6 of the largest output. With int8 ones a value on a
    rounding edge may fall on either side, which then spreads: up to 2.1e-2 with a cosine of
    0.9997, for 50 layers in a row. The bounds leave room for processors that were not measured.
    """
    largest = max(float(np.abs(array).max(initial=0.0)) for array in outputs.values())
    activations = {formats.parse(row["format"]).activation for row in lowered.layers}
    exact = activations <= {"float"} and not lowered.options.get("accuracy_level")
    share = 1e-4 if exact else 5e-2
    return {"max_abs_error": share * max(largest, 1e-6), "min_cosine": 0.999}


def predictor(session: Session) -> Predict:
    """Wraps a session for evaluation; inputs that the program does not take are left out.

    A program that was made for one fixed batch size gets a batch in parts of that size, the last
    one filled up with its own last row.
    """
    ports = session.inputs
    size = _fixed_batch(ports)

    def predict(batch: Feeds) -> Mapping[str, Array]:
        arrays = program_feeds(ports, batch)
        if size is None:
            return session.run(arrays)
        count = len(next(iter(arrays.values())))
        parts = [session.run(_rows(arrays, at, size)) for at in range(0, count, size)]
        names = parts[0]
        return {name: np.concatenate([part[name] for part in parts])[:count] for name in names}

    return predict


def latency(path: Path, baseline: Path, example: Feeds, rounds: int) -> list[dict[str, Any]]:
    """Times an artifact against the float artifact on the same runtime, in turns, on one row."""
    found = []
    for threads in thread_counts():
        with load(path, threads=threads) as ours, load(baseline, threads=threads) as theirs:
            row = _rows(program_feeds(ours.inputs, example), 0, _fixed_batch(ours.inputs) or 1)
            times = measure.compare(
                partial(ours.run, row),
                partial(theirs.run, row),
                runtime=str(ours.manifest["target"]),
                threads=threads,
                rounds=rounds,
            )
            found.append(asdict(times))
    return found


def _fixed_batch(ports: Sequence[Port]) -> int | None:
    """Returns the size of the first axis of all inputs where the program fixes it, else None."""
    sizes = {port.shape[0] if port.shape else None for port in ports}
    size = sizes.pop() if len(sizes) == 1 else None
    return size if isinstance(size, int) and size > 0 else None


def _rows(arrays: Feeds, start: int, count: int) -> dict[str, Array]:
    """Returns `count` rows from `start`; where there are fewer, the last one is repeated."""
    wanted = np.arange(start, start + count)
    return {
        name: array[np.minimum(wanted, len(array) - 1)] if array.ndim else array
        for name, array in arrays.items()
    }


def layer_rows(lowered: Lowered, model: Model, plan: Plan) -> list[dict[str, Any]]:
    """Joins what the plan chose, the solver lost and the target stored, one row per layer."""
    rows = []
    for stored in lowered.layers:
        layer, packed = model.layer(stored["id"]), model.packed.get(stored["id"])
        count = layer.rows * layer.cols
        choice = plan.choice(layer.id)
        loss = packed.loss if packed else 0.0
        rows.append(
            {
                "id": layer.id,
                "format": choice.format,
                "support": choice.support or "float",
                "bytes": int(stored["nbytes"]),
                "bits": 8 * stored["nbytes"] / count,
                "sensitivity": choice.loss,
                "sqnr_db": float(-10 * np.log10(loss)) if loss > 0 else None,
            }
        )
    return rows


def thread_counts() -> tuple[int, ...]:
    """Returns 1 and, where there are more cores, all of them."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return (1,) if cores == 1 else (1, cores)


def write_program(lowered: Lowered, folder: Path) -> list[Path]:
    """Writes the files of a lowered program, for example model.onnx, beside the artifact."""
    paths = []
    for name, content in track(lowered.program.items(), "write"):
        atomic.write(folder / name, content)
        paths.append(folder / name)
    return paths


def pack_float(target: Target, model: Model, example: Feeds, path: Path) -> None:
    """Packs the float model for the same target: the baseline of every comparison."""
    pack(target.lower(model), model, Plan(), example, path, {})
