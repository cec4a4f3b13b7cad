"""Where a tensor comes from: the operators that hand the same rows of numbers on unchanged."""

from __future__ import annotations

import math

import torch

from lamella.graph.calls import module_path

# In eval mode these give back their first argument, whatever else they are passed.
_IDENTITIES = frozenset(
    f"aten.{name}"
    for name in (
        "dropout.default",
        "feature_dropout.default",
        "alpha_dropout.default",
        "clone.default",
        "contiguous.default",
        "detach.default",
        "alias.default",
        "lift_fresh_copy.default",
    )
)

_CASTS = frozenset(
    f"aten.{name}"
    for name in ("to.dtype", "to.dtype_layout", "to.device", "_to_copy.default", "type_as.default")
)

# These keep every number in its order; they count as the same tensor if the last axis stays.
_VIEWS = frozenset(
    f"aten.{name}"
    for name in (
        "view.default",
        "_unsafe_view.default",
        "reshape.default",
        "flatten.using_ints",
        "unflatten.int",
        "squeeze.default",
        "squeeze.dim",
        "squeeze.dims",
        "unsqueeze.default",
    )
)

_SLICE = "aten.slice.Tensor"


def origin(node: torch.fx.Node) -> torch.fx.Node:
    """Follows a tensor back to the node that made it."""
    while (before := _handed_on(node)) is not None:
        node = before
    return node


def describe(node: torch.fx.Node) -> str:
    """Names a tensor: the input of the model, or module path and operation that made it."""
    if node.op == "placeholder":
        return node.name
    path = module_path(node)
    return f"{path}.{node.name}" if path else node.name


def output_origins(program: torch.export.ExportedProgram) -> set[torch.fx.Node]:
    """Returns the nodes that made the outputs of a program."""
    wanted = set(program.graph_signature.user_outputs)
    ends = (node for node in program.graph.nodes if node.name in wanted)
    return {origin(node) for node in ends}


def sizes(tensor: torch.Tensor) -> tuple[int, ...]:
    """Returns the shape that a traced tensor has on the example inputs."""
    return tuple(_size(size) for size in tensor.shape)


def count(tensor: torch.Tensor) -> int:
    """Returns the number of elements that a traced tensor has on the example inputs."""
    return math.prod(sizes(tensor))


def _handed_on(node: torch.fx.Node) -> torch.fx.Node | None:
    if node.op != "call_function" or not node.args or not isinstance(node.args[0], torch.fx.Node):
        return None
    before = node.args[0]
    old, new = before.meta.get("val"), node.meta.get("val")
    if not isinstance(old, torch.Tensor) or not isinstance(new, torch.Tensor):
        return None
    target = str(node.target)
    same = (
        target in _IDENTITIES
        or (target in _CASTS and old.dtype == new.dtype)
        or (target in _VIEWS and sizes(old)[-1:] == sizes(new)[-1:])
        or (target == _SLICE and sizes(old) == sizes(new))
    )
    return before if same else None


def _size(size: int | torch.SymInt) -> int:
    if isinstance(size, int):
        return size
    hint = size.node.hint
    return 1 if hint is None else int(hint)
