"""Turns what the ONNX exporter raises into a LoweringError: operator, module, source line."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from typing import Any

from lamella.errors import LoweringError
from lamella.graph.calls import module_path

_SOURCE = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
_LONGEST = 300


def explain(error: BaseException) -> LoweringError:
    """Returns the LoweringError for an exception of torch.onnx.export."""
    chain = list(_chain(error))
    reason = " ".join(str(chain[-1]).split())[:_LONGEST]
    nodes = [node for link in chain for node in _nodes(link)]
    if not nodes:
        return LoweringError(f"the model has no ONNX form: {reason}")
    node = nodes[-1]
    path = module_path(node)
    place = f"module {path!r}" if path else "the top module"
    sources = list(_SOURCE.finditer(node.meta.get("stack_trace") or ""))
    line = f" ({sources[-1]['file']}:{sources[-1]['line']})" if sources else ""
    return LoweringError(
        f"operator {node.target} in {place}{line} has no ONNX form: {reason}; write it with "
        "other torch operators, or move it out of forward"
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__


def _nodes(error: BaseException) -> Iterator[Any]:
    """Yields the graph nodes that the frames of an exception were working on."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        node = frame.f_locals.get("node")
        if hasattr(node, "meta") and hasattr(node, "target"):
            yield node
