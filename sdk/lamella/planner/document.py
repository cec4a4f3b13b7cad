"""YAML documents: strict reading with includes; equal values are written as equal bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from lamella.errors import PlanError

Value = TypeVar("Value")

# The largest number of validation errors that one message lists.
SHOWN = 3


class Line(dict[str, Any]):
    """A mapping that is written on one line, so that a plan diffs layer by layer."""


class _Dumper(yaml.SafeDumper):
    """Writes `Line` in flow style and never an anchor."""

    def ignore_aliases(self, data: object) -> bool:
        """Repeats equal values instead of linking them."""
        return True


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, which YAML would silently overwrite."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Builds a mapping after checking its keys."""
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                line = node.start_mark.line + 1
                raise PlanError(f"the key {key!r} stands twice in the mapping at line {line}")
        return super().construct_mapping(node, deep)


def _represent_line(dumper: yaml.SafeDumper, line: Line) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", line, flow_style=True)


_Dumper.add_representer(Line, _represent_line)


def write(mapping: Mapping[str, Any]) -> bytes:
    """Returns the YAML of a mapping, keys in their order."""
    text = yaml.dump(
        dict(mapping), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return text.encode()


def locate(name: str, folder: Path) -> Path:
    """Returns the file that `name` means: a path from `folder`, or else a shipped recipe.

    Raises:
        PlanError: there is neither; the message lists the shipped recipes.
    """
    path = folder / name
    if path.is_file():
        return path
    shipped = Path(str(resources.files("lamella.planner"))) / "recipes"
    found = shipped / f"{name}.yaml"
    if Path(name).name == name and found.is_file():
        return found
    names = ", ".join(sorted(file.stem for file in shipped.glob("*.yaml")))
    raise PlanError(f"no plan or recipe {name!r}: {path} is no file; shipped recipes are {names}")


def read(path: Path) -> dict[str, Any]:
    """Reads a YAML mapping and what it includes.

    `$include: other.yaml`, or a list of files, is relative to the including file. The file's own
    lists come before included ones, so that its rules win; its own mappings override included
    ones key by key.

    Raises:
        PlanError: a file is missing, no mapping, not YAML, or includes itself.
    """
    return _read(path, ())


def validate(adapter: TypeAdapter[Value], mapping: Mapping[str, Any], source: str) -> Value:
    """Turns a mapping into a value; types must be exact and keys known.

    Raises:
        PlanError: names `source`, the key, and what is wrong with it.
    """
    # As JSON, lists may become tuples while every other type stays strict.
    text = json.dumps(mapping, default=str)
    try:
        return adapter.validate_json(text, strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False)
        lines = [f"{_key(item['loc'])}: {_reason(item)}" for item in found[:SHOWN]]
        more = f" (and {len(found) - SHOWN} more)" if len(found) > SHOWN else ""
        raise PlanError(f"{source}: {'; '.join(lines)}{more}") from error


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    here = path.resolve()
    if here in above:
        chain = " -> ".join(file.name for file in (*above, here))
        raise PlanError(f"{path} includes itself: {chain}; remove one $include")
    mapping = _parse(path)
    names = mapping.pop("$include", [])
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise PlanError(f"{path}: $include must be a file name or a list of them, not {names!r}")
    for name in names:
        mapping = _merge(mapping, _read(locate(name, path.parent), (*above, here)))
    return mapping


def _parse(path: Path) -> dict[str, Any]:
    try:
        mapping = yaml.load(path.read_bytes(), Loader=_Loader)
    except OSError as error:
        raise PlanError(f"cannot read {path}: {error.strerror or error}") from error
    except yaml.YAMLError as error:
        raise PlanError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except PlanError as error:
        raise PlanError(f"{path}: {error}") from error
    if not isinstance(mapping, dict):
        raise PlanError(f"{path} must hold a mapping with keys such as rules, not {mapping!r:.60}")
    return mapping


def _merge(own: dict[str, Any], included: dict[str, Any]) -> dict[str, Any]:
    merged = included | own
    for key in own.keys() & included.keys():
        mine, theirs = own[key], included[key]
        if isinstance(mine, list) and isinstance(theirs, list):
            merged[key] = mine + theirs
        elif isinstance(mine, dict) and isinstance(theirs, dict):
            merged[key] = theirs | mine
    return merged


def _key(location: Sequence[int | str]) -> str:
    """Spells a location as a person would: rules[2].format."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".") or "the document"


def _reason(item: Mapping[str, Any]) -> str:
    if item["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
        return "unknown key"
    reason = str(item["msg"]).removeprefix("Value error, ")
    return reason if item["type"] == "value_error" else f"{reason}, not {item['input']!r:.60}"
