"""Carries a plan out: every layer gets the codes that the plan's solver finds for it.

Layers are solved one after the other, so that no more than one is held in float64. The result is
a module of the same class whose weights are the decoded codes and whose integer layers round
their activations; with a journal, a run that was killed resumes with identical bytes.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import torch

from lamella import memory
from lamella.calibration.stats import Statistics
from lamella.compression import one_layer, simulate
from lamella.compression.journal import Entry
from lamella.compression.prune.patterns import check_pattern
from lamella.compression.transform.equalize import imbalance
from lamella.errors import CompressionError
from lamella.formats import Format
from lamella.frontend.layers import Layer
from lamella.frontend.model import Model
from lamella.planner.spec import Plan, Settings
from lamella.progress import track

# What equalisation may leave between two layers: ranges that differ by a few per cent.
_BALANCED = 0.05


def compress(
    model: Model, plan: Plan, stats: Statistics, *, journal: str | Path | None = None
) -> Model:
    """Returns a compressed copy of a model; `packed` has an entry for every layer of its table.

    Layers whose weight is tied share one entry, solved for the layer that multiplies by it rather
    than for the embedding that looks it up. Batch normalisation should be folded and the model
    equalised before statistics are collected, see `lamella.compression.transform`.

    Args:
        model: a float model; untouched.
        plan: names a format for every layer of the model.
        stats: the calibration of this very model.
        journal: a folder for one file per finished layer; files in it are used again when the
            layer, its format, the settings and the statistics are the same.

    Raises:
        PlanError: the plan names an unknown layer or leaves one out.
        CompressionError: a format that is impossible for its layer, or weights that are not
            finite; names the layer.
        CalibrationError: statistics that the settings need were not collected.
        StorageError: the journal cannot be written.
    """
    formats = _formats(model, plan)
    _check(model, plan.settings, formats)
    result = replace(model, module=copy.deepcopy(model.module), packed={})
    job = one_layer.prepare(model, plan.settings, stats, None if journal is None else Path(journal))
    families = _families(model)
    for owner, layer in track(solved_layers(model).items(), "compress", len(families)):
        format = formats[owner]
        entry = one_layer.solve(job, layer, format)
        _store(result, model.layer(owner), layer, entry)
        packed = one_layer.compressed(job, layer, format, entry.solution)
        result.packed.update(dict.fromkeys(families[owner], packed))
        memory.trim()
    result.packed = {layer.id: result.packed[layer.id] for layer in model.layers}
    simulate.attach(result, formats)
    return result


def solved_layers(model: Model) -> dict[str, Layer]:
    """Maps each layer that owns its weight to the one that the weight is solved for.

    That is the first that multiplies by it, rather than an embedding that looks it up.
    """
    found = {}
    for owner, members in _families(model).items():
        layers = [model.layer(name) for name in members]
        found[owner] = next((layer for layer in layers if layer.kind != "embedding"), layers[0])
    return found


def _formats(model: Model, plan: Plan) -> dict[str, Format]:
    """Maps every layer of the model to its format; refuses a plan for other layers."""
    chosen = plan.formats
    for name in chosen:
        model.layer(name)
    return {layer.id: chosen[plan.choice(layer.id).layer] for layer in model.layers}


def _check(model: Model, settings: Settings, formats: dict[str, Format]) -> None:
    """Refuses, before any work, what the plan asks and a layer cannot be."""
    if settings.equalize and imbalance(model) > _BALANCED:
        raise CompressionError(
            "the plan asks for equalised layers, but this model is not: apply equalize to it "
            "before calibration, or set equalize to false"
        )
    for layer in model.layers:
        format, owner = formats[layer.id], layer.tied_to or layer.id
        if formats[owner] != format:
            raise CompressionError(
                f"layer {layer.id} shares its weight with {owner}, so both need one format, not "
                f"{format.id} and {formats[owner].id}"
            )
        if format.sparsity is not None:
            check_pattern(layer.id, layer.cols, format.sparsity)
        if format.activation == "dynamic" and layer.convolution is not None:
            raise CompressionError(
                f"layer {layer.id}: {format.id} rounds activations token by token, which a "
                "convolution mixes; use w8a8, or a format with float activations"
            )
        tied = layer.tied_to is not None or any(o.tied_to == layer.id for o in model.layers)
        if format.activation != "float" and layer.kind == "embedding" and not tied:
            raise CompressionError(
                f"layer {layer.id}: an embedding looks rows up and reads no activations, so it "
                f"cannot be {format.id}; use {format.id.partition('a8')[0]}"
            )


def _families(model: Model) -> dict[str, list[str]]:
    """Maps each layer that owns its weight to all layers that use it, itself first."""
    families = {layer.id: [layer.id] for layer in model.layers if layer.tied_to is None}
    for layer in model.layers:
        if layer.tied_to is not None:
            families[layer.tied_to].append(layer.id)
    return families


def _store(model: Model, owner: Layer, solved: Layer, entry: Entry) -> None:
    """Puts decoded weights and a corrected bias into the module."""
    model.set_weight(owner, entry.solution.decode())
    if entry.shift is not None:
        with torch.no_grad():
            bias = model.module.get_parameter(f"{solved.id}.bias")
            bias.add_(torch.from_numpy(entry.shift))
