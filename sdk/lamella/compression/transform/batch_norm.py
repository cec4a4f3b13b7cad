"""Folds batch normalisation into the layer before it.

Source: Jacob et al. 2018, arXiv:1712.05877, section 3.2: with g = gamma / sqrt(variance + eps),
the weight becomes g w and the bias g (b - mean) + beta.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from lamella.compression.transform.retrace import private_calls, retrace
from lamella.frontend.model import Model
from lamella.graph.calls import Call, module_path

_BATCH_NORM = "aten.batch_norm.default"
# Subclasses may do more than normalise, so they are left as they are.
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True, slots=True)
class Pair:
    """A layer and the normalisation that alone reads its output, by module name."""

    layer: str
    norm: str


def fold_batch_norm(model: Model) -> Model:
    """Returns the model with every batch normalisation folded that a graph allows to fold.

    The pairs are found in the exported graph: a convolution, or a linear layer with (batch,
    features) outputs, whose only reader is a batch normalisation, neither of them called twice
    or shared. The normalisation's place is taken by an identity; ids of layers stay, and folded
    layers have a bias. The model itself is untouched, and returned if there is nothing to fold.

    Raises:
        TraceError: the folded module cannot be captured, because its code reads the parameters
            of a normalisation directly.
    """
    pairs = tuple(find_pairs(model))
    if not pairs:
        return model
    module = copy.deepcopy(model.module)
    for pair in pairs:
        layer, norm = module.get_submodule(pair.layer), module.get_submodule(pair.norm)
        weight, bias = folded(layer, norm)
        layer.weight = nn.Parameter(weight, requires_grad=False)
        layer.bias = nn.Parameter(bias, requires_grad=False)
        parent, _, name = pair.norm.rpartition(".")
        setattr(module.get_submodule(parent), name, nn.Identity())
    return retrace(model, module)


def find_pairs(model: Model) -> Iterator[Pair]:
    """Yields the layers that can be folded, in order of execution."""
    norms = [node for node in model.program.graph.nodes if str(node.target) == _BATCH_NORM]
    often = Counter(module_path(node) for node in norms)
    layers = private_calls(model)
    for node in norms:
        path, call = module_path(node), layers.get(node.args[0])
        exact = type(model.module.get_submodule(path)) in _NORMS
        if call is not None and exact and often[path] == 1 and _foldable(call):
            yield Pair(call.layer, path)


def folded(layer: nn.Module, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Returns weight and bias of a layer followed by a normalisation, in the layer's dtype.

    Args:
        layer: a Conv1d, Conv2d or Linear; output channels are axis 0 of its weight.
        norm: a batch normalisation over those channels, with running statistics.
    """
    assert isinstance(norm, _NORMS)
    own, given = dict(layer.named_parameters()), dict(norm.named_parameters())
    weight = own["weight"].detach()
    gain = (norm.get_buffer("running_var").double() + norm.eps).rsqrt()
    if "weight" in given:
        gain = gain * given["weight"].double()
    moved = -norm.get_buffer("running_mean").double() * gain
    if "bias" in own:
        moved = moved + own["bias"].double() * gain
    if "bias" in given:
        moved = moved + given["bias"].double()
    scaled = weight.double() * gain.reshape(-1, *[1] * (weight.dim() - 1))
    return scaled.to(weight.dtype), moved.detach().to(weight.dtype)


def _foldable(call: Call) -> bool:
    """Whether the normalisation alone reads the output, with the layer's channels on axis 1."""
    convolution = "conv" in str(call.node.target)
    linear = str(call.node.target) == "aten.linear.default" and call.node.meta["val"].dim() == 2
    return len(call.node.users) == 1 and (convolution or linear)
