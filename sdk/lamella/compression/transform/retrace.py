"""Traces a rewritten module again, with the inputs, names and files of the model it came from."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import torch

from lamella.frontend.model import Model
from lamella.frontend.trace import trace_in_place
from lamella.graph.calls import Call, find_calls


def retrace(model: Model, module: torch.nn.Module) -> Model:
    """Returns the Model of `module`, a rewritten copy of `model.module`, which it takes over.

    Raises:
        TraceError: the rewritten module cannot be captured.
    """
    inputs = model.args or model.kwargs
    shapes = model.dynamic_shapes
    traced = trace_in_place(module, inputs, shapes, name=model.name, licence=model.licence)
    return replace(traced, attachments=dict(model.attachments), notes=model.notes)


def private_calls(model: Model) -> dict[torch.fx.Node, Call]:
    """Maps graph nodes to calls, for layers called once whose parameters nobody shares.

    Only these may be rewritten: a change to any other layer would show in a second place.
    """
    calls = find_calls(model.program, [layer.id for layer in model.layers])
    often = Counter(call.layer for call in calls)
    named = list(model.module.named_parameters(remove_duplicate=False))
    names = Counter(id(tensor) for _, tensor in named)
    shared = {name.rpartition(".")[0] for name, tensor in named if names[id(tensor)] > 1}
    return {
        call.node: call for call in calls if often[call.layer] == 1 and call.layer not in shared
    }
