"""Plans: which format each layer gets and why, as values that a person can read, edit and diff.

A recipe is a plan without `layers`: rules and settings that fit more than one model.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, TypeAdapter
from rich.table import Table

from lamella import atomic, formats
from lamella.errors import PlanError
from lamella.formats import Format
from lamella.frontend.layers import Kind
from lamella.planner import document, explain

_STRICT = ConfigDict(extra="forbid")

_DEPTH = re.compile(r"-?\d+|-?\d*\.\d+|\d*\.?\d+-\d*\.?\d+")

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(|B|kB|KB|MB|GB|KiB|MiB|GiB)")
_UNITS = {"": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_UNITS |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


@dataclass(frozen=True, slots=True)
class Settings:
    """How the solvers work, for the whole model.

    `act_order` and `damping` belong to GPTQ, `activation_range` to static int8 inputs; `equalize`
    turns on cross-layer equalisation.
    """

    __pydantic_config__ = _STRICT

    solver: Literal["gptq", "rtn"] = "gptq"
    act_order: bool = True
    damping: float = 0.02
    activation_range: Literal["mse", "percentile", "minmax"] = "mse"
    bias_correction: bool = True
    equalize: bool = False
    pruner: Literal["wanda", "magnitude"] = "wanda"
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.damping < 1:
            raise PlanError(f"damping must lie in [0, 1), not {self.damping}")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a plan: the layers that every given matcher accepts get `format`.

    `name` and `role` are globs, `re` is a regular expression that must match the whole layer id,
    `type` is the kind of the layer. `depth` is a block (`3`, or `-1` from the end), an inclusive
    range (`0-3`), a share of the blocks (`0.25`: the first quarter, `-0.25`: the last) or a range
    of shares (`0.25-0.75`). `options` leaves the choice to the allocator. A rule that matches no
    layer is an error unless it is `optional`.
    """

    __pydantic_config__ = _STRICT

    name: str | None = None
    re: str | None = None
    type: Kind | None = None
    role: str | None = None
    depth: int | float | str | None = None
    format: str | None = None
    options: tuple[str, ...] = ()
    optional: bool = False

    def __post_init__(self) -> None:
        if not self.matchers:
            raise PlanError("a rule needs one of name, re, type, role, depth")
        if (self.format is None) == (not self.options):
            raise PlanError(f"the rule {self.label!r} needs either format or options")
        if self.type is not None and self.type not in get_args(Kind):
            raise PlanError(f"unknown type {self.type!r}; use one of {', '.join(get_args(Kind))}")
        if self.depth is not None and not _DEPTH.fullmatch(str(self.depth)):
            raise PlanError(f"depth {self.depth!r}; write for example 0, -1, 0-3, 0.25 or -0.25")
        _compile(self.re or "")
        for text in self._texts:
            formats.parse(text)

    @property
    def matchers(self) -> dict[str, int | float | str]:
        """Returns the given matchers by key."""
        named = {"name": self.name, "re": self.re, "type": self.type, "role": self.role}
        pairs = {**named, "depth": self.depth}.items()
        return {key: value for key, value in pairs if value is not None}

    @property
    def label(self) -> str:
        """Returns the matchers as one line, the name of the rule in tables and messages."""
        return ", ".join(f"{key}: {value}" for key, value in self.matchers.items())

    @property
    def formats(self) -> tuple[Format, ...]:
        """Returns the formats that the rule allows, in its order."""
        return tuple(formats.parse(text) for text in self._texts)

    @property
    def _texts(self) -> tuple[str, ...]:
        return self.options if self.format is None else (self.format,)


@dataclass(frozen=True, slots=True)
class Choice:
    """The decision for one layer.

    `rule` says what decided. `bits` is all bytes of the layer over its weights and biases; `loss`
    is the expected loss of compressing this layer alone, None where nobody measured it. A layer
    that shares its weight with another has the bytes of its bias only.
    """

    __pydantic_config__ = _STRICT

    layer: Annotated[str, Field(alias="id")]
    format: str
    rule: str = "by hand"
    nbytes: Annotated[int, Field(alias="bytes", ge=0)] = 0
    bits: Annotated[float, Field(ge=0)] = 0.0
    loss: float | None = None
    support: Literal["kernel", "size only", "float"] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "format", formats.parse(self.format).id)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a plan must keep to.

    `size` is bytes of the whole file, `average_bits` the same in bits per parameter of the model.
    `max_drop` is the largest accepted loss of `metric` on held-out data, 0 meaning as good as the
    float model. `integer_flops` asks that at least this share of the FLOPs reads int8
    activations. `minimise` is what the accuracy loop makes small: bytes of the file, or FLOPs
    weighted by the width of their operands.
    """

    size: int | None = None
    average_bits: float | None = None
    max_drop: float | None = None
    metric: str = "loss"
    integer_flops: float | None = None
    minimise: Literal["bytes", "flops"] = "bytes"

    def __post_init__(self) -> None:
        limits = {"size": self.size, "average_bits": self.average_bits, "max_drop": self.max_drop}
        if all(value is None for value in limits.values()):
            raise PlanError("a budget needs a size, average bits or a largest drop")
        for name, value in limits.items():
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise PlanError(f"the budget's {name} must be a number from 0 up, not {value}")
        if self.integer_flops is not None and not 0 <= self.integer_flops <= 1:
            raise PlanError(f"integer_flops is a share in [0, 1], not {self.integer_flops}")

    def cap(self, parameters: int) -> int | None:
        """Returns the largest size of the file in bytes, or None if only the drop is limited."""
        caps = [] if self.size is None else [self.size]
        if self.average_bits is not None:
            caps.append(math.floor(self.average_bits * parameters / 8))
        return min(caps, default=None)


@dataclass(frozen=True, slots=True)
class Plan:
    """The only thing that crosses from planner to compression.

    `choices` has one row per layer of the model. `promised` holds the forecast: at least
    `size_bytes`, and what was expected and measured of the loss. `skip` lists globs of layers
    that stay f32 whatever the rules say. `share_input_groups` gives the layers that read one
    tensor one format, for targets that fuse them.
    """

    __pydantic_config__ = _STRICT

    rules: tuple[Rule, ...] = ()
    choices: Annotated[tuple[Choice, ...], Field(alias="layers")] = ()
    settings: Settings = Settings()
    promised: dict[str, int | float | str] = field(default_factory=dict)
    skip: tuple[str, ...] = ()
    share_input_groups: bool = False
    target: str = ""
    version: Literal[1] = 1

    def __post_init__(self) -> None:
        ids = [choice.layer for choice in self.choices]
        twice = sorted({name for name in ids if ids.count(name) > 1}) if ids else []
        if twice:
            raise PlanError(f"the plan lists the layer {twice[0]!r} twice; keep one")

    @property
    def hash(self) -> str:
        """Returns the SHA-256 of what compression reads: the settings and every layer's format."""
        read = {choice.layer: choice.format for choice in self.choices}
        text = json.dumps([asdict(self.settings), read], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def formats(self) -> dict[str, Format]:
        """Maps layer ids to the formats chosen for them."""
        return {choice.layer: formats.parse(choice.format) for choice in self.choices}

    def choice(self, layer_id: str) -> Choice:
        """Returns the decision for one layer.

        Raises:
            PlanError: the plan has no such layer.
        """
        for choice in self.choices:
            if choice.layer == layer_id:
                return choice
        raise PlanError(
            f"the plan says nothing about the layer {layer_id!r}; plan this model again"
        )

    def data(self) -> dict[str, Any]:
        """Returns the plan as plain values under the keys of its YAML."""
        values: dict[str, Any] = _adapter().dump_python(self, mode="json", by_alias=True)
        return values

    def to_yaml(self) -> bytes:
        """Returns the plan as YAML; equal plans give equal bytes."""
        dumped = self.data()
        order = ("version", "target", "settings", "share_input_groups", "skip", "rules", "layers")
        lines = {
            "skip": dumped["skip"],
            "rules": [_line(rule, {"options": [], "optional": False}) for rule in dumped["rules"]],
            "layers": [_line(layer, {}) for layer in dumped["layers"]],
        }
        return document.write({key: (dumped | lines)[key] for key in (*order, "promised")})

    def save(self, path: str | Path) -> None:
        """Writes the plan as YAML, atomically."""
        atomic.write(Path(path), self.to_yaml())

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Reads a plan or a recipe, by path or by the name of a shipped recipe.

        Raises:
            PlanError: names the file and the key that is missing, unknown or wrong.
        """
        found = document.locate(str(path), Path())
        return document.validate(_adapter(), document.read(found), str(path))

    def table(self) -> Table:
        """Returns the plan for a terminal."""
        return explain.table(self)


def parse_size(text: str) -> int:
    """Reads a size such as 3MB (10^6) or 512KiB (2^10) as bytes.

    Raises:
        PlanError: the text is no number with a known unit.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise PlanError(f"size {text!r}; write for example 3MB, 2.5MiB or 800kB")
    return int(float(found[1]) * _UNITS[found[2]])


@cache
def _adapter() -> TypeAdapter[Plan]:
    return TypeAdapter(Plan)


def _line(mapping: Mapping[str, Any], defaults: Mapping[str, Any]) -> document.Line:
    """Drops keys that are None or at their default."""
    kept = {k: v for k, v in mapping.items() if v is not None and v != defaults.get(k)}
    return document.Line(kept)


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise PlanError(f"the regular expression {pattern!r} is wrong: {error}") from error
