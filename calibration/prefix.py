"""Skipping the part of a module that comes before a changed layer.

A module that runs a list of blocks one after the other computes the same things before the first
changed layer whatever the change is. The outputs of all blocks are recorded once; to look at a
change, the blocks that finish before it return their recording. Nothing else differs, so the
result is bit for bit that of the whole module; this is checked once before it is relied on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lamella.frontend.layers import Layer

# Recordings may take this much memory; a model that needs more is run as a whole every time.
LIMIT_BYTES = 512 << 20

Run = Callable[[int], Any]


@dataclass(slots=True)
class Prefix:
    """The blocks of a module and what each of them returned for each batch.

    `starts` maps a layer id to the number of blocks that have finished when the layer is first
    run. Without blocks nothing is ever skipped.
    """

    blocks: tuple[torch.nn.Module, ...] = ()
    starts: Mapping[str, int] = field(default_factory=dict)
    outputs: list[list[Any]] = field(default_factory=list)

    def start(self, layers: Sequence[Layer]) -> int:
        """Returns how many blocks can be skipped when all of these layers change."""
        return min(self.starts.get(layer.id, 0) for layer in layers)

    @contextmanager
    def skipping(self, start: int, batch: int) -> Iterator[None]:
        """Lets the first `start` blocks return what they returned for a batch."""
        patched = self.blocks[:start]
        try:
            for place, block in enumerate(patched):
                block.forward = _returning(self.outputs[batch][place])
            yield
        finally:
            for block in patched:
                block.__dict__.pop("forward", None)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Records the outputs of one batch; gives up beyond LIMIT_BYTES."""
        if not self.blocks:
            yield
            return
        recorded: list[Any] = []
        self.outputs.append(recorded)
        handles = [
            block.register_forward_hook(lambda _, __, output: recorded.append(copied(output)))
            for block in self.blocks
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
        if sum(map(_nbytes, self.outputs)) > LIMIT_BYTES:
            self.drop()

    def drop(self) -> None:
        """Forgets blocks and recordings: from now on the whole module is run."""
        self.blocks, self.starts, self.outputs = (), {}, []


def find(module: torch.nn.Module, layers: Sequence[Layer], run: Callable[[], Any]) -> Prefix:
    """Looks for the list of blocks that lets most work be skipped.

    Args:
        module: any module.
        layers: its layers.
        run: runs the module once.

    Returns:
        A prefix without recordings, or without blocks where the module has no list of two or more
        children that are each called exactly once and in order.
    """
    lists = [
        tuple(part.children())
        for part in module.modules()
        if isinstance(part, (torch.nn.ModuleList, torch.nn.Sequential))
    ]
    events = _events(module, lists, layers, run)
    best = Prefix()
    most = 0.0
    for blocks in lists:
        order = [event for event in events if any(event is block for block in blocks)]
        if len(blocks) < 2 or order != list(blocks) or _overridden(blocks):
            continue
        starts = _starts(events, blocks)
        skipped = sum(starts.values()) / len(blocks)
        if skipped > most:
            best, most = Prefix(blocks, starts), skipped
    return best


def copied(value: Any) -> Any:
    """Returns a nest with its tensors copied, safe from operations in place."""
    if isinstance(value, Tensor):
        return value.clone()
    if type(value) in (tuple, list):
        return type(value)(copied(entry) for entry in value)
    if type(value) is dict:
        return {name: copied(entry) for name, entry in value.items()}
    return value


def _events(
    module: torch.nn.Module,
    lists: Sequence[tuple[torch.nn.Module, ...]],
    layers: Sequence[Layer],
    run: Callable[[], Any],
) -> list[Any]:
    """Returns, in order, every block that finishes (the module) and layer that starts (its id)."""
    events: list[Any] = []
    handles = [
        module.get_submodule(layer.id).register_forward_pre_hook(
            lambda _, __, name=layer.id: events.append(name)
        )
        for layer in layers
    ]
    for block in {id(block): block for blocks in lists for block in blocks}.values():
        handles.append(block.register_forward_hook(lambda part, _, __: events.append(part)))
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return events


def _starts(events: Sequence[Any], blocks: Sequence[torch.nn.Module]) -> dict[str, int]:
    starts: dict[str, int] = {}
    finished = 0
    for event in events:
        if isinstance(event, str):
            starts.setdefault(event, finished)
        elif any(event is block for block in blocks):
            finished += 1
    return starts


def _overridden(blocks: Sequence[torch.nn.Module]) -> bool:
    """Whether someone has already replaced the `forward` of a block."""
    return any("forward" in block.__dict__ for block in blocks)


def _returning(output: Any) -> Callable[..., Any]:
    return lambda *args, **kwargs: copied(output)


def _nbytes(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, dict):
        return sum(map(_nbytes, value.values()))
    return sum(map(_nbytes, value)) if isinstance(value, (tuple, list)) else 0
