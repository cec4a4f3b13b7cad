"""What a back end offers to the rest of lamella: its capability table, and one verb, lower."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from lamella.formats import Format
from lamella.frontend.layers import Kind
from lamella.frontend.model import Model

Support = Literal["kernel", "size only"]


@dataclass(frozen=True, slots=True)
class Capability:
    """One format that a target can store for one kind of layer.

    "kernel" means that packed weights are used in place; "size only" that they are unpacked to
    floating point when the model is loaded, so that the file shrinks and time does not.
    """

    kind: Kind
    format: Format
    support: Support


@dataclass(frozen=True, slots=True)
class Lowered:
    """A model expressed for one target, ready to be packed into an artifact.

    `target` is the runtime that opens it. `program` holds named files (for onnx: `model.onnx`).
    `layers` has one row per layer with at least id, format and nbytes (the bytes its weight takes
    in the program). `notes` are sentences for the report, for example which layers were repaired.
    """

    target: str
    program: dict[str, bytes]
    inputs: tuple[dict[str, Any], ...]
    outputs: tuple[dict[str, Any], ...]
    layers: tuple[dict[str, Any], ...]
    notes: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


class Target(Protocol):
    """A back end. `targets/registry.py` lists them."""

    @property
    def name(self) -> str:
        """Returns the name in the list of targets."""

    def capabilities(self) -> tuple[Capability, ...]:
        """Returns every (kind, format) that the target stores, best supported first."""

    def adapt(self, model: Model) -> Model:
        """Returns a compressed model changed where this computer's arithmetic asks for it.

        What was changed is said in `Model.notes`; the model itself where nothing had to be.
        """

    def lower(self, model: Model) -> Lowered:
        """Expresses a (compressed) model for this target.

        Raises:
            LoweringError: names the operator or layer that the target cannot express.
        """
