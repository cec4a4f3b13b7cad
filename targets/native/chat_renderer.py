"""Renders chat templates as transformers does, with contents that nobody may look into."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from jinja2 import Template, TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lamella.errors import LoweringError

# Role and content.
Message = tuple[str, str]

# What a template could do to learn what a content is made of, or to change it.
_LOOKS = (
    *("__contains__", "__getitem__", "find", "index", "count", "startswith", "endswith", "split"),
    *("rsplit", "partition", "rpartition", "splitlines", "replace", "lower", "upper", "title"),
    *("capitalize", "format"),
)


class _LooksInsideError(Exception):
    """A template asks what a content is made of."""


class _Content(str):
    """A content that may be joined and stripped of spaces, and nothing else."""

    __slots__ = ()

    def strip(self, characters: str | None = None) -> _Content:
        return self.lstrip(characters).rstrip(characters)

    def lstrip(self, characters: str | None = None) -> _Content:
        if characters is not None:
            raise _LooksInsideError
        return _Content(super().lstrip())

    def rstrip(self, characters: str | None = None) -> _Content:
        if characters is not None:
            raise _LooksInsideError
        return _Content(super().rstrip())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            raise _LooksInsideError
        return False

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def _refuse_to_look(*_: object) -> NoReturn:
    raise _LooksInsideError


for _name in _LOOKS:
    setattr(_Content, _name, _refuse_to_look)


class Renderer:
    """A template with the environment that transformers gives it."""

    def __init__(self, source: str, tokens: Mapping[str, str], name: str) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = _no_date
        self.name, self._tokens = name, tokens
        try:
            self._template: Template = environment.from_string(source)
        except TemplateError as error:
            raise LoweringError(
                f"the chat template of {name} is not one of Jinja: {error}; mend it or leave it out"
            ) from error

    def render(self, messages: Sequence[Message], generate: bool) -> str | None:
        """Returns the text of a conversation, or None where the template refuses it."""
        given = [{"role": role, "content": _Content(content)} for role, content in messages]
        try:
            return self._template.render(
                messages=given,
                tools=None,
                documents=None,
                add_generation_prompt=generate,
                **self._tokens,
            )
        except LoweringError:
            raise
        except Exception:  # What a template does not expect, it meets with any error.
            return None


def _to_json(value: Any, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, **options)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


def _no_date(form: str) -> NoReturn:
    raise LoweringError(f"the chat template asks for the date ({form!r}); apply it before lamella")
