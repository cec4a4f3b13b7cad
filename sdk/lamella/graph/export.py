"""Exports a torch module to a float ONNX model whose nodes carry the ids of their layers.

The weights that a label points at: MatMul has (cols, rows); Gemm has (rows, cols) where its
attribute transB is 1, else (cols, rows); Conv and Gather have the shape of the torch weight.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from typing import Any

import onnx_ir
import torch
from torch.utils import _pytree as pytree

from lamella.errors import LoweringError
from lamella.graph import refusal
from lamella.graph.calls import find_calls, weight_owners
from lamella.graph.passes.label import label, labelled
from lamella.graph.passes.simplify import simplify
from lamella.graph.passes.strip import strip

OPSET = 21

# Loggers that repeat at length what the exception says, or complain about torchvision.
_CHATTY = (
    "torch.onnx._internal.exporter._registration",
    "torch.fx.experimental.symbolic_shapes",
    "torch._subclasses.fake_tensor",
    "torch.export._trace",
)


def export_onnx(
    module: torch.nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    dynamic_shapes: Any,
    layer_ids: Collection[str],
) -> onnx_ir.Model:
    """Exports a module; equal modules give equal bytes.

    Inputs keep the names of the arguments of `forward`; outputs are named after the fields of the
    returned dict, or output_0, output_1, ... (see `output_names`). For every layer in `layer_ids`
    the nodes that read its weight have `metadata_props["lamella.layer"]`, one node per call, and
    that weight is an initializer. Tied weights share one initializer or are two views of the same
    memory.

    Args:
        module: in eval mode; its forward hooks are traced as part of it.
        args: positional example inputs.
        kwargs: example inputs by name.
        dynamic_shapes: as `torch.export.export` takes it.
        layer_ids: qualified names of the modules to label.

    Raises:
        LoweringError: an operator has no ONNX form, or a layer is not found in the graph.
    """
    with quiet():
        try:
            program = capture(module, args, kwargs, dynamic_shapes)
        except Exception as error:  # torch.export raises whatever the model's code raises
            reason = " ".join(str(error).split())
            raise LoweringError(f"the module cannot be captured any more: {reason}") from error
        expected = Counter(call.layer for call in find_calls(program, layer_ids))
        model = _translate(program, args, kwargs)
        label(model, weight_owners(program.state_dict, layer_ids))
        check_labels(model, layer_ids, expected)
        simplify(model)
    _name_outputs(model, output_names(program))
    strip(model)
    check_labels(model, layer_ids, expected)
    return model


def _translate(
    program: torch.export.ExportedProgram, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> onnx_ir.Model:
    """Runs the exporter without its own optimisation, which would hide the weights."""
    try:
        exported = torch.onnx.export(
            program,
            args,
            kwargs=dict(kwargs),
            dynamo=True,
            opset_version=OPSET,
            optimize=False,
            verbose=False,
        )
    except Exception as error:  # the exporter wraps whatever its translations raise
        raise refusal.explain(error) from error
    assert exported is not None
    model: onnx_ir.Model = exported.model
    return model


def capture(
    module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], dynamic_shapes: Any
) -> torch.export.ExportedProgram:
    """Runs torch.export without its warnings; what it raises passes through."""
    # On a failure torch prints the graph so far to stderr; the exception is what callers explain.
    with quiet(), torch.no_grad(), redirect_stderr(io.StringIO()):
        return torch.export.export(
            module, args, dict(kwargs), dynamic_shapes=dynamic_shapes, strict=False
        )


def output_names(program: torch.export.ExportedProgram) -> list[str]:
    """Returns one name per output tensor: field names, else output_0, output_1, ...

    An entry that is None has no name; a field that is called like an input gets `_output`.
    """
    spec = program.call_spec.out_spec
    assert spec is not None
    leaves = pytree.tree_unflatten(list(range(spec.num_leaves)), spec)
    names = dict(_leaf_names(leaves, ()))
    taken = set(program.graph_signature.user_inputs)
    tensors = program.graph_signature.user_outputs
    return [
        f"{names[index]}_output" if names[index] in taken else names[index]
        for index, tensor in enumerate(tensors)
        if tensor is not None
    ]


def check_labels(model: onnx_ir.Model, layer_ids: Collection[str], expected: Counter[str]) -> None:
    """Refuses a graph in which a layer is not labelled at as many nodes as it has calls.

    Raises:
        LoweringError: names the layer and both counts.
    """
    found = labelled(model)
    for layer in layer_ids:
        nodes = len(found.get(layer, ()))
        if nodes == 0 or nodes != expected[layer]:
            raise LoweringError(
                f"layer {layer}: called {expected[layer]} times in the torch graph but found at "
                f"{nodes} nodes of the ONNX graph; leave it out of the plan (skip) and report this"
            )


@contextmanager
def quiet() -> Iterator[None]:
    """Hides what torch says about its own internals and about torchvision; errors are raised."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*LeafSpec.*is deprecated", FutureWarning)
            warnings.filterwarnings("ignore", ".*were? assigned during export", UserWarning)
            warnings.filterwarnings("ignore", ".*# The axis name", UserWarning)
            warnings.filterwarnings("ignore", category=DeprecationWarning, module="(torch|onnx).*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _leaf_names(tree: Any, path: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Yields the number of each leaf of an output and its name."""
    if isinstance(tree, int):
        numbered = not path or path[0].isdigit()
        yield tree, "_".join(("output", *(path or "0")) if numbered else path)
        return
    if isinstance(tree, Mapping):
        children = [(str(key), value) for key, value in tree.items()]
    elif hasattr(tree, "_fields"):
        children = list(zip(tree._fields, tree, strict=True))
    else:
        children = [(str(index), value) for index, value in enumerate(tree)]
    for name, child in children:
        yield from _leaf_names(child, (*path, name))


def _name_outputs(model: onnx_ir.Model, names: list[str]) -> None:
    """Gives the outputs their names; another value that has one of them yields it."""
    taken = set(names)
    for node in model.graph:
        for value in node.outputs:
            if value.name in taken:
                value.name = f"{value.name}.inner"
    for value, name in zip(model.graph.outputs, names, strict=True):
        value.name = name
