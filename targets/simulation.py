"""Takes the simulation of activation grids off a module while it is exported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lamella import formats
from lamella.frontend.model import Model

if TYPE_CHECKING:
    import torch


@contextmanager
def without_simulation(model: Model) -> Iterator[torch.nn.Module]:
    """Yields the module of a model without the hooks that round activations.

    Compression registers them on the layers whose format has 8-bit activations; all forward hooks
    of those layers are off while the context lasts, and back in their order when it ends.
    """
    rounded = [
        layer_id
        for layer_id, compressed in model.packed.items()
        if formats.parse(compressed.format).activation != "float"
    ]
    saved = []
    for layer_id in rounded:
        module = model.module.get_submodule(layer_id)
        for hooks in (module._forward_pre_hooks, module._forward_hooks):
            saved.append((hooks, dict(hooks)))
            hooks.clear()
    try:
        yield model.module
    finally:
        for hooks, before in saved:
            hooks.update(before)
