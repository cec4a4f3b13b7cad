"""Cross-layer equalisation: moves scale between neighbouring layers until their ranges agree.

Source: Nagel et al. 2019, arXiv:1906.04721 (DFQ), section 4.1: with r1 the range of an output
channel of the first layer and r2 that of the same input channel of the second, the first is
divided and the second multiplied by s = sqrt(r1 / r2). Repeating it over all pairs equalises
longer chains.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from lamella.compression.transform.batch_norm import fold_batch_norm
from lamella.compression.transform.retrace import private_calls, retrace
from lamella.frontend.model import Model
from lamella.frontend.trace import Inputs, arguments
from lamella.graph.calls import Call

# f(s x) = s f(x) for every s > 0, channel by channel: only these may stand between two layers.
_HOMOGENEOUS = frozenset(
    f"aten.{name}"
    for name in (
        "relu.default",
        "relu_.default",
        "leaky_relu.default",
        "leaky_relu_.default",
        "prelu.default",
        "max_pool2d.default",
        "avg_pool2d.default",
        "adaptive_avg_pool2d.default",
        "dropout.default",
    )
)
# Scale travels one layer a pass, so a chain needs many more passes than it has layers.
_PASSES = 300
_CLOSE = 1e-4


@dataclass(frozen=True, slots=True)
class Pair:
    """Two layers, by module name, of which the second alone reads what the first writes."""

    first: str
    second: str


def equalize(
    model: Model, *, relu6_bound: float = 0.0, batches: Sequence[Inputs] | None = None
) -> Model:
    """Returns the model with equalised layers, batch normalisation folded first.

    The function is kept exactly (up to rounding) because only positively homogeneous operators
    stand between the layers of a pair. A bounded activation such as ReLU6 is not: its pairs are
    skipped, unless `relu6_bound` allows a change. Then every `nn.ReLU6` module becomes an
    `nn.ReLU`, provided that the outputs on `batches` change by at most that share of their
    largest magnitude; else all of them stay.

    Args:
        model: the float model; untouched. Statistics must be collected after this.
        relu6_bound: largest accepted relative change of the outputs, 0 for none.
        batches: inputs to measure that change on; the example inputs if not given.

    Raises:
        TraceError: the rewritten module cannot be captured.
    """
    model = fold_batch_norm(model)
    if relu6_bound > 0:
        model = _without_relu6(model, relu6_bound, batches)
    pairs = tuple(find_pairs(model))
    if not pairs:
        return model
    module = copy.deepcopy(model.module)
    for _ in range(_PASSES):
        largest = max([_balance(module, pair) for pair in pairs])
        if largest < _CLOSE:
            break
    return retrace(model, module)


def imbalance(model: Model) -> float:
    """Returns the largest |log s| that equalisation would still apply, 0 where it has no pairs."""
    pairs = find_pairs(model)
    return max((float(_scales(model.module, p).log().abs().max()) for p in pairs), default=0.0)


def find_pairs(model: Model) -> Iterator[Pair]:
    """Yields the pairs that can be equalised exactly, in order of execution."""
    calls = private_calls(model)
    readers = {call.source: call for call in calls.values()}
    for call in calls.values():
        last = _follow(call.node)
        second = readers.get(last) if last is not None else None
        if second is not None and _same_axis(call, second):
            yield Pair(call.layer, second.layer)


def _follow(node: torch.fx.Node) -> torch.fx.Node | None:
    """Returns the last tensor of a chain of homogeneous operators; None where it forks."""
    while len(node.users) == 1:
        (user,) = node.users
        if str(user.target) not in _HOMOGENEOUS:
            return node
        node = user
    return None


def _same_axis(first: Call, second: Call) -> bool:
    """Whether the outputs of the one are, as channels, the inputs of the other."""
    names = {str(call.node.target).partition(".")[2] for call in (first, second)}
    return names == {"linear.default"} or all(name.startswith("conv") for name in names)


def _scales(module: nn.Module, pair: Pair) -> Tensor:
    """Returns s for every channel between two layers; a channel of zeros has no range to move."""
    first = module.get_submodule(pair.first).get_parameter("weight").detach()
    rows = first.abs().flatten(1).amax(dim=1)
    split = _by_channel(module.get_submodule(pair.second))
    columns = split.abs().amax(dim=(1, 3)).reshape(-1)
    return torch.where((rows > 0) & (columns > 0), (rows / columns).sqrt(), 1.0)


def _balance(module: nn.Module, pair: Pair) -> float:
    """Equalises one pair in place and returns max |log s|."""
    scale = _scales(module, pair)
    first = dict(module.get_submodule(pair.first).named_parameters())
    weight = first["weight"].data
    weight.div_(scale.reshape(-1, *[1] * (weight.dim() - 1)))
    if "bias" in first:
        first["bias"].data.div_(scale)
    split = _by_channel(module.get_submodule(pair.second))
    split.mul_(scale.reshape(len(split), 1, -1, 1))
    return float(scale.log().abs().max())


def _by_channel(layer: nn.Module) -> Tensor:
    """Views a weight as (groups, rows per group, channels per group, taps).

    Axes 1 and 3 hold all uses of one input channel.
    """
    weight = layer.get_parameter("weight").data
    groups = layer.groups if isinstance(layer, nn.Conv1d | nn.Conv2d) else 1
    return weight.view(groups, weight.shape[0] // groups, weight.shape[1], -1)


def _without_relu6(model: Model, bound: float, batches: Sequence[Inputs] | None) -> Model:
    module = copy.deepcopy(model.module)
    for name, child in model.module.named_modules():
        if type(child) is nn.ReLU6:
            parent, _, last = name.rpartition(".")
            setattr(module.get_submodule(parent), last, nn.ReLU())
    given = [arguments(batch) for batch in batches] if batches else [(model.args, model.kwargs)]
    with torch.inference_mode():
        for args, kwargs in given:
            before = _outputs(model.module(*args, **kwargs))
            after = _outputs(module(*args, **kwargs))
            for old, new in zip(before, after, strict=True):
                if float((new - old).abs().max()) > bound * float(old.abs().max()):
                    return model
    return retrace(model, module)


def _outputs(result: object) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor)]
