"""Reads the layer table of a module from its exported graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

from lamella.frontend.blocks import block_indices, block_of, role
from lamella.frontend.layers import Convolution, Kind, Layer
from lamella.frontend.sources import count, describe, origin, output_origins
from lamella.graph.calls import Call, find_calls

_MATRIX = 2


def read_layers(
    module: nn.Module, program: torch.export.ExportedProgram
) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    """Returns the layers in order of first call, and one note per module that is left out."""
    kinds: dict[str, Kind] = {}
    notes: list[str] = []
    for path, child in module.named_modules(remove_duplicate=False):
        reason = _refusal(child)
        if not path and _kind(child) is not None:
            reason = "a layer needs a name, so wrap it in a torch.nn.Sequential"
        if reason:
            notes.append(f"{path or 'the top module'} is left out: {reason}.")
        elif (kind := _kind(child)) is not None:
            kinds[path] = kind
    calls: dict[str, list[Call]] = {}
    for call in find_calls(program, kinds):
        calls.setdefault(call.layer, []).append(call)
    called = {module.get_submodule(path) for path in calls}
    notes += [
        f"{path} is left out: it is never called, or uses its weight in a way of its own."
        for path in kinds
        if module.get_submodule(path) not in called
    ]
    context = _Context(module, kinds, _owners(module, calls, kinds), output_origins(program))
    blocks = block_indices(module)
    rows = (_layer(found, context, block_of(path, blocks)) for path, found in calls.items())
    return tuple(rows), tuple(notes)


@dataclass(frozen=True, slots=True)
class _Context:
    """What the rows of one table share; `owners` maps a layer to where its weight is counted."""

    module: nn.Module
    kinds: dict[str, Kind]
    owners: dict[str, str]
    outputs: set[torch.fx.Node]


def _layer(calls: list[Call], context: _Context, block: int | None) -> Layer:
    first = calls[0]
    path = first.layer
    kind = context.kinds[path]
    weight = context.module.get_parameter(f"{path}.weight")
    transposed = _is_transposed(context.module.get_submodule(path))
    rows = weight.shape[1] if transposed else weight.shape[0]
    cols = weight.numel() // rows
    bias = int(rows) if first.has_bias else 0
    tied = context.owners[path] != path
    counted = bias + (0 if tied else weight.numel())
    outputs = sum(count(call.node.meta["val"]) for call in calls)
    gives_output = any(call.node in context.outputs for call in calls)
    return Layer(
        id=path,
        kind=kind,
        role=role(path, kind, gives_output=gives_output),
        block=block,
        rows=int(rows),
        cols=int(cols),
        weight_shape=tuple(int(size) for size in weight.shape),
        has_bias=first.has_bias,
        parameters=counted,
        flops=0 if kind == "embedding" else 2 * cols * outputs,
        nbytes=counted * weight.element_size(),
        input_group=describe(origin(first.source)),
        tied_to=context.owners[path] if tied else None,
        transposed=transposed,
        convolution=_convolution(first, weight) if weight.dim() > _MATRIX else None,
    )


def _kind(module: nn.Module) -> Kind | None:
    """Returns the kind of a module that can be a layer, None for any other."""
    if isinstance(module, nn.Embedding):
        return "embedding"
    if isinstance(module, nn.Linear) or _is_transposed(module):
        return "linear"
    if isinstance(module, nn.Conv1d):
        return "conv1d"
    if isinstance(module, nn.Conv2d):
        each = module.groups == module.in_channels and module.in_channels > 1
        return "depthwise2d" if each else "conv2d"
    return None


def _is_transposed(module: nn.Module) -> bool:
    """Whether a module is the Conv1D of the transformers library, a Linear of shape (in, out)."""
    return type(module).__name__ == "Conv1D" and hasattr(module, "nf")


def _refusal(module: nn.Module) -> str:
    """Says why a module with weights cannot be a layer; empty if it can, or has none."""
    if _kind(module) is None:
        matrices = (tensor for tensor in module.parameters(recurse=False) if tensor.dim() > 1)
        if next(matrices, None) is None or isinstance(module, ParametrizationList):
            return ""
        if any(module.children()):
            return "the matrices that it holds itself are not those of a layer"
        return f"{type(module).__name__} is not a kind of layer that is compressed"
    if not isinstance(module._parameters.get("weight"), nn.Parameter):
        return "its weight is computed, not a plain parameter"
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        if module.padding_mode != "zeros":
            return f"it pads with {module.padding_mode!r} and not with zeros"
        if module.padding == "same" and any(_uneven(module)):
            return "its padding 'same' is not equal on both sides"
    return ""


def _uneven(module: nn.Conv1d | nn.Conv2d) -> Iterator[bool]:
    for kernel, dilation in zip(module.kernel_size, module.dilation, strict=True):
        yield dilation * (kernel - 1) % 2 == 1


def _owners(
    module: nn.Module, called: Sequence[str] | dict[str, Any], kinds: dict[str, Kind]
) -> dict[str, str]:
    """Maps each called layer to the one that counts its weight: an embedding before others."""
    first: dict[int, str] = {}
    for path in sorted(called, key=lambda path: kinds[path] != "embedding"):
        first.setdefault(id(module.get_parameter(f"{path}.weight")), path)
    return {path: first[id(module.get_parameter(f"{path}.weight"))] for path in called}


def _convolution(call: Call, weight: torch.Tensor) -> Convolution:
    """Reads the geometry of a convolution from its node."""
    kernel = tuple(int(size) for size in weight.shape[2:])
    schema = call.node.target._schema.arguments  # type: ignore[union-attr]
    given = {argument.name: argument.default_value for argument in schema}
    given |= {argument.name: value for argument, value in zip(schema, call.node.args, strict=False)}
    given |= call.node.kwargs
    axes = len(kernel)
    dilation = _per_axis(given["dilation"], axes)
    padding = given["padding"]
    if isinstance(padding, str):
        spans = [
            step * (size - 1) // 2 if padding == "same" else 0
            for size, step in zip(kernel, dilation, strict=True)
        ]
        padding = spans
    return Convolution(
        kernel=kernel,
        stride=_per_axis(given["stride"], axes),
        padding=_per_axis(padding, axes),
        dilation=dilation,
        groups=int(given["groups"]),
    )


def _per_axis(value: Any, axes: int) -> tuple[int, ...]:
    sizes = [int(value)] if isinstance(value, int) else [int(size) for size in value]
    return tuple(sizes * axes if len(sizes) == 1 else sizes)
