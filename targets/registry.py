"""The list of back ends. A new one is one folder and one row here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lamella.errors import InputError

if TYPE_CHECKING:
    from lamella.targets.target import Target

# Name of the target: module, class, options. Modules load on first use, since each needs its
# runtime.
TARGETS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "onnx": ("lamella.targets.onnx.lower", "OnnxTarget", {}),
    "onnx-a8": ("lamella.targets.onnx.lower", "OnnxTarget", {"accuracy_level": 4}),
    "native": ("lamella.targets.native.target", "NativeTarget", {}),
    "tvm": ("lamella.targets.tvm.lower", "TvmTarget", {}),
}


def get(name: str) -> Target:
    """Returns a new target by name.

    Raises:
        InputError: no target has this name, or the packages that it needs are not installed.
    """
    if name not in TARGETS:
        raise InputError(f"unknown target {name!r}; the targets are: {', '.join(sorted(TARGETS))}")
    module, attribute, options = TARGETS[name]
    try:
        target: Target = getattr(import_module(module), attribute)(**options)
    except ModuleNotFoundError as error:
        extra = name.partition("-")[0]
        raise InputError(
            f"target {name} needs the package {error.name!r}; install lamella[{extra}]"
        ) from error
    return target
