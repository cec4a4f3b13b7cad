"""Traces a torch module into a Model: a private copy, its exported graph and its layer table."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from lamella.errors import InputError, TraceError
from lamella.frontend.failure import explain
from lamella.frontend.model import Model
from lamella.frontend.table import read_layers
from lamella.graph.export import capture

Inputs = torch.Tensor | Sequence[Any] | Mapping[str, Any]


def trace(
    module: nn.Module,
    example_inputs: Inputs,
    dynamic_shapes: Any = None,
    *,
    name: str = "model",
    licence: str = "unknown",
) -> Model:
    """Captures a module as a graph and reads its layer table from it.

    Args:
        module: any module; it is copied, set to eval mode and float32, and left as it was.
        example_inputs: one tensor, positional arguments as a tuple or list, or arguments by name
            as a dict.
        dynamic_shapes: which axes may vary, as `torch.export.export` takes it.
        name: what tables and reports call the model.
        licence: the licence of the weights, an SPDX id where there is one.

    Raises:
        TraceError: the module cannot be captured (names operator, module, source line and what
            to try), or a parameter holds NaN or infinity.
        InputError: `example_inputs` is none of the three forms.
    """
    private = _private_copy(module)
    return trace_in_place(private, example_inputs, dynamic_shapes, name=name, licence=licence)


def trace_in_place(
    module: nn.Module,
    example_inputs: Inputs,
    dynamic_shapes: Any = None,
    *,
    name: str = "model",
    licence: str = "unknown",
) -> Model:
    """Does what `trace` does, without the copy: the Model owns `module` from here on."""
    args, kwargs = arguments(example_inputs)
    module.eval().float().requires_grad_(False)
    _check_values(module)
    try:
        program = capture(module, args, kwargs, dynamic_shapes)
    except Exception as error:  # torch.export raises whatever the model's code raises
        raise explain(error, module) from error
    layers, notes = read_layers(module, program)
    if not layers:
        left_out = " ".join(notes) or "It calls none."
        raise TraceError(
            f"{type(module).__name__} has no layer that lamella compresses (Linear, Conv1d, "
            f"Conv2d, Embedding). {left_out}"
        )
    model = Model(module, layers, args, kwargs, dynamic_shapes, program, name, licence)
    model.notes = notes
    return model


def arguments(inputs: Inputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Splits example inputs into positional and named arguments of `forward`."""
    if isinstance(inputs, torch.Tensor):
        return (inputs,), {}
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    if isinstance(inputs, tuple | list):
        return tuple(inputs), {}
    raise InputError(
        f"example inputs of type {type(inputs).__name__}; give a tensor, a tuple or list of "
        "positional arguments, or a dict of arguments by name"
    )


def _private_copy(module: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(module)
    except Exception as error:  # whatever a member of the module raises
        raise TraceError(
            f"cannot copy {type(module).__name__}: {error}; a member that cannot be copied (an "
            "open file, a lock, a tensor with a gradient history) has to leave the module"
        ) from error


def _check_values(module: nn.Module) -> None:
    for name, tensor in module.named_parameters():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            bad = int((~torch.isfinite(tensor)).sum())
            raise TraceError(
                f"parameter {name} holds {bad} values that are NaN or infinite (of "
                f"{tensor.numel()}); load a sound checkpoint"
            )
