"""Turns what torch.export raises into a TraceError: operator, module, source line, remedy."""

from __future__ import annotations

import linecache
import re
import traceback
from dataclasses import dataclass
from types import FrameType

import torch
from torch import nn

from lamella.errors import TraceError

_TORCH = torch.__path__[0]

_BRANCH = (
    "the control flow depends on the values of a tensor, and a graph has only one path",
    "use torch.cond or torch.where, or move the branch out of forward",
)

# Text of the exception in lower case -> what is wrong ("" to quote the exception), and what to
# try. The first entry found is used.
_KNOWN: tuple[tuple[str, tuple[str, str]], ...] = (
    ("data-dependent", _BRANCH),
    (
        ".numpy()",
        (
            "NumPy code leaves no trace in the graph",
            "use the torch function of the same name, or move the step out of forward",
        ),
    ),
    (
        "constraints violated",
        (
            "an axis that dynamic_shapes declares free is fixed, or bounded, by the model",
            "declare it torch.export.Dim.AUTO, or leave it out of dynamic_shapes",
        ),
    ),
    ("not in range", ("", "let the example inputs lie within the bounds of dynamic_shapes")),
    (
        "positional argument",
        ("", "give example_inputs one entry per argument of forward"),
    ),
    (
        "required argument",
        ("", "give example_inputs every argument of forward, as a dict if by name"),
    ),
    (
        "fake impl",
        (
            "nothing says what shape the custom operator returns",
            "describe it with torch.library.register_fake",
        ),
    ),
    (
        "is not a known type",
        ("", "return tensors, or tuples, lists and dicts of tensors, from forward"),
    ),
)

_OTHERWISE = (
    "check that module(*example_inputs) runs; if it does, write the line with other torch "
    "operators or move it out of forward"
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the capture stopped, as far as the traceback tells; "" where it does not."""

    operator: str
    module: str
    line: str


def explain(error: BaseException, module: nn.Module) -> TraceError:
    """Returns the TraceError for an exception that torch.export raised on `module`."""
    text = f"{type(error).__name__} {error}".lower()
    known = (pair for key, pair in _KNOWN if key in text)
    wrong, remedy = next(known, ("", _OTHERWISE))
    place = _find(error, module)
    parts = [f"cannot trace {type(module).__name__}"]
    if place.operator:
        parts.append(f" at operator {place.operator}")
    if place.module:
        parts.append(f" in {place.module}")
    if place.line:
        parts.append(f" ({place.line})")
    return TraceError(f"{''.join(parts)}: {wrong or _first_line(error)}; {remedy}")


def _find(error: BaseException, module: nn.Module) -> _Place:
    frames = list(traceback.walk_tb(error.__traceback__))
    paths = {id(child): name for name, child in module.named_modules()}
    owners = [frame.f_locals.get("self") for frame, _ in frames]
    inside = [paths[id(owner)] for owner in owners if id(owner) in paths]
    users = [at for at, (frame, _) in enumerate(frames) if _is_users(frame)]
    if not inside:
        return _Place("", "", "")
    name = f"module {inside[-1]!r}" if inside[-1] else "the top module"
    if not users:
        return _Place(_operator([frame for frame, _ in frames], error), name, "")
    last = users[-1]
    frame, number = frames[last]
    file = frame.f_code.co_filename
    operator = _operator([frame for frame, _ in frames[last + 1 :]], error)
    source = linecache.getline(file, number).strip()
    expression = _expression(error, last) or source
    return _Place(operator or f"`{expression}`", name, f"{file}:{number}: {source}")


def _is_users(frame: FrameType) -> bool:
    """Whether a frame runs code of the model, and not of torch or of lamella."""
    file = frame.f_code.co_filename
    name = frame.f_globals.get("__name__", "")
    return not file.startswith((_TORCH, "<")) and not name.startswith(("lamella.", "contextlib"))


def _operator(frames: list[FrameType], error: BaseException) -> str:
    """Returns the outermost torch operator that was running, or the one the message names."""
    for frame in frames:
        for overload in (frame.f_locals.get("func"), frame.f_locals.get("op")):
            if isinstance(overload, torch._ops.OpOverload):
                return str(overload)
    named = re.search(r"\b[a-z_]+\.[a-z_]\w*\.(?:default|[A-Z]\w+)\b", str(error))
    return named[0] if named else ""


def _expression(error: BaseException, index: int) -> str:
    """Returns the exact part of the line that was being computed."""
    summary = traceback.extract_tb(error.__traceback__)[index]
    start, end = summary.colno, summary.end_colno
    if start is None or end is None or summary.lineno != summary.end_lineno:
        return ""
    line = linecache.getline(summary.filename, summary.lineno or 0)
    return line.encode()[start:end].decode(errors="replace")


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0].partition(". ")[0] if lines else type(error).__name__
    return first.rstrip(".;:")
