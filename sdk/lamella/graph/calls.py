"""Finds the calls of layers in an exported program: which node reads which layer's weight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# Per operator: the positions of the tensor that is read, the weight and the bias.
_POSITIONS = {
    "aten.linear.default": (0, 1, 2),
    "aten.addmm.default": (1, 2, 0),
    "aten.mm.default": (0, 1, None),
    "aten.matmul.default": (0, 1, None),
    "aten.conv1d.default": (0, 1, 2),
    "aten.conv1d.padding": (0, 1, 2),
    "aten.conv2d.default": (0, 1, 2),
    "aten.conv2d.padding": (0, 1, 2),
    "aten.embedding.default": (1, 0, None),
}

# Operators that hand a weight on with the same values.
_SAME_WEIGHT = frozenset(
    f"aten.{name}"
    for name in ("t.default", "transpose.int", "permute.default", "detach.default", "alias.default")
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a layer: the graph node, the tensor it reads, and whether it adds a bias."""

    layer: str
    node: torch.fx.Node
    source: torch.fx.Node
    has_bias: bool


def find_calls(program: torch.export.ExportedProgram, layer_ids: Iterable[str]) -> list[Call]:
    """Returns the calls of the given layers in execution order.

    A node is a call of layer L if it reads the weight of L, or one tied to it, and was recorded
    while the module L ran.
    """
    owners = weight_owners(program.state_dict, layer_ids)
    weights = {
        placeholder: owners[name]
        for placeholder, name in program.graph_signature.inputs_to_parameters.items()
        if name in owners
    }
    return list(_calls(program.graph.nodes, weights))


def weight_owners(
    state: Mapping[str, torch.Tensor], layer_ids: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """Maps each name of a parameter to the layers whose weight is that very tensor."""
    owners: dict[int, list[str]] = {}
    for layer_id in layer_ids:
        tensor = state.get(f"{layer_id}.weight")
        if tensor is not None:
            owners.setdefault(tensor.data_ptr(), []).append(layer_id)
    pointers = {name: tensor.data_ptr() for name, tensor in state.items()}
    return {name: tuple(owners[at]) for name, at in pointers.items() if at in owners}


def module_path(node: torch.fx.Node) -> str:
    """Returns the qualified name of the module that ran when a node was recorded."""
    stack = node.meta.get("nn_module_stack") or {}
    return plain_path(str(list(stack.values())[-1][0])) if stack else ""


def plain_path(scope: str) -> str:
    """Removes the `@1` that torch.export adds to the path of a module's second call."""
    return ".".join(part.partition("@")[0] for part in scope.split("."))


def _calls(
    nodes: Iterable[torch.fx.Node], weights: Mapping[str, tuple[str, ...]]
) -> Iterator[Call]:
    for node in nodes:
        positions = _POSITIONS.get(str(node.target))
        if node.op != "call_function" or positions is None:
            continue
        read, weight, bias = (_argument(node, position) for position in positions)
        path = module_path(node)
        if read is not None and path in weights.get(_origin(weight), ()):
            yield Call(path, node, read, bias is not None)


def _argument(node: torch.fx.Node, position: int | None) -> Any:
    if position is None or position >= len(node.args):
        return None
    return node.args[position]


def _origin(weight: Any) -> str:
    """Returns the name of the placeholder that a weight comes from, unchanged."""
    while weight.op == "call_function" and str(weight.target) in _SAME_WEIGHT:
        weight = weight.args[0]
    return str(weight.name)
