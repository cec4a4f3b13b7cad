"""The list of back ends. A new one is one folder and one row here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from lamella.errors import InputError

if TYPE_CHECKING:
    from lamella.targets.target import Target

# Name of the target: module and class. Modules load on first use, since each needs its runtime.
TARGETS = {
    "onnx": ("lamella.targets.onnx.lower", "OnnxTarget"),
    "tvm": ("lamella.targets.tvm.lower", "TvmTarget"),
}


def get(name: str) -> Target:
    """Returns a new target by name.

    Raises:
        InputError: no target has this name, or the packages that it needs are not installed.
    """
    if name not in TARGETS:
        raise InputError(f"unknown target {name!r}; the targets are: {', '.join(sorted(TARGETS))}")
    module, attribute = TARGETS[name]
    try:
        target: Target = getattr(import_module(module), attribute)()
    except ModuleNotFoundError as error:
        raise InputError(
            f"target {name} needs the package {error.name!r}; install lamella[{name}]"
        ) from error
    return target
