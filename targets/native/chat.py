"""Compiles a chat template into the texts that stand between the contents of messages.

A device has no Jinja. But most templates only join: what stands before a content depends on its
role and on the role before it. So the template is rendered here with contents that can be told
apart, the texts between them are taken down for every pair of roles, and many conversations are
rendered once more and compared with what the engine will join. A template that does anything else
is refused, never approximated. native/engine/TOKENIZER.md, section 10, says how it is stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise, product
from typing import Any

from lamella.errors import LoweringError
from lamella.targets.native.chat_renderer import Message, Renderer
from lamella.targets.native.tokenizer_blob import NONE, words

ROLES = ("system", "user", "assistant")
START, END, GENERATE = "start", "end", "generate"
BEFORE, AFTER = (START, *ROLES), (*ROLES, END, GENERATE)
_STRIP_LEFT, _STRIP_RIGHT = 1, 2
# What contents are tried.
_CONTENTS = (
    "plain",
    " \n\tboth sides\x1c\u3000\n",
    "",
    "<think>\nthought\n</think>\n\nspoken",
    "{{ braces }} {% raw %} \"quotes\" 'single' <b>&amp;</b> \\n",
    " \n ",
    "[INST] <s></s> <|im_end|> <tool_call>{}</tool_call>\r\nlines\n",
)
_LONGEST = 5

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Chat:
    """The text between two neighbours, and which sides of the contents of a role are stripped."""

    between: Mapping[Pair, str]
    strip: Mapping[str, int]

    def join(self, messages: Sequence[Message], generate: bool) -> str | None:
        """Returns the text of a conversation, or None where roles follow that cannot."""
        roles = [START, *(role for role, _ in messages), GENERATE if generate else END]
        pairs = list(pairwise(roles))
        if not all(pair in self.between for pair in pairs):
            return None
        texts = [self.between[pair] for pair in pairs]
        contents = [*(self._stripped(*message) for message in messages), ""]
        return "".join(chain(*zip(texts, contents, strict=True)))

    def stored(self) -> bytes:
        """Returns the section of tokenizer.bin."""
        strip = [self.strip.get(role, 0) for role in ROLES]
        places, texts = list[int](), b""
        start = 4 * (len(strip) + 2 * len(BEFORE) * len(AFTER))
        for pair in product(BEFORE, AFTER):
            text = self.between.get(pair)
            stored = b"" if text is None else text.encode()
            places += [NONE if text is None else start + len(texts), len(stored)]
            texts += stored
        return words([*strip, *places]) + texts

    def _stripped(self, role: str, content: str) -> str:
        if self.strip[role] & _STRIP_LEFT:
            content = content.lstrip()
        return content.rstrip() if self.strip[role] & _STRIP_RIGHT else content


def read_config(text: bytes | str) -> tuple[str, dict[str, str]]:
    """Returns the template and the special tokens of a tokenizer_config.json.

    Raises:
        LoweringError: the text is no such file, or has no template.
    """
    try:
        config = json.loads(text)
        template = config["chat_template"]
        if isinstance(template, list):
            template = {entry["name"]: entry["template"] for entry in template}["default"]
    except (ValueError, KeyError, TypeError) as error:
        raise LoweringError(
            "the text is no tokenizer_config.json with a chat_template; compile the tokenizer "
            "without a chat template, or give the file that has one"
        ) from error
    tokens = {name: _content(token) for name, token in config.items() if name.endswith("_token")}
    return str(template), {name: token for name, token in tokens.items() if token is not None}


def _content(token: Any) -> str | None:
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else None


def compile_chat(template: str, tokens: Mapping[str, str], name: str = "the model") -> bytes:
    """Returns the section of tokenizer.bin for a chat template.

    Args:
        template: the text of the template.
        tokens: the special tokens that it may name, such as `bos_token`.
        name: what errors call the model.

    Raises:
        LoweringError: the template does more than to join contents with texts of roles.
    """
    renderer = Renderer(template, tokens, name)
    # Where a system message is moved elsewhere, the other roles may still be joined in order.
    for roles in (ROLES, ROLES[1:]):
        chat = _learn(renderer, roles)
        if chat is not None and _agrees(renderer, chat, roles):
            return chat.stored()
    raise LoweringError(
        f"the chat template of {name} is not a concatenation of parts per role; apply it before "
        "lamella"
    )


def _conversations(roles: Sequence[str], longest: int) -> Iterator[tuple[tuple[str, ...], bool]]:
    for length in range(1, longest + 1):
        yield from product(product(roles, repeat=length), (False, True))


def _learn(renderer: Renderer, roles: Sequence[str]) -> Chat | None:
    """Returns what short conversations show, or None if they contradict each other."""
    between: dict[Pair, str] = {}
    for sequence, generate in _conversations(roles, 3):
        # Nobody writes these characters, so each mark is found again.
        marks = [f"\ue000{at}\ue001" for at in range(len(sequence))]
        text = renderer.render(list(zip(sequence, marks, strict=True)), generate)
        parts = None if text is None else _between(text, marks)
        if parts is None:
            continue
        steps = [START, *sequence, GENERATE if generate else END]
        for pair, part in zip(pairwise(steps), parts, strict=True):
            if between.setdefault(pair, part) != part:
                return None
    if not {(START, "user"), ("user", GENERATE)} <= between.keys():
        return None
    return Chat(between, {role: _sides(renderer, between, role) for role in roles})


def _between(text: str, marks: Sequence[str]) -> list[str] | None:
    """Returns what stands around marks, or None unless each comes once and in order."""
    parts, rest = list[str](), text
    for mark in marks:
        part, found, rest = rest.partition(mark)
        if not found:
            return None
        parts.append(part)
    parts.append(rest)
    return None if any("\ue000" in part for part in parts) else parts


def _sides(renderer: Renderer, between: Mapping[Pair, str], role: str) -> int:
    """Returns which sides of a content are stripped; that it is always so is checked later."""
    for sequence, generate in _conversations(ROLES, 3):
        steps = [START, *sequence, GENERATE if generate else END]
        pairs = list(pairwise(steps))
        if role not in sequence or not all(pair in between for pair in pairs):
            continue
        messages = [(other, " \ue000 " if other == role else "x") for other in sequence]
        text = renderer.render(messages, generate)
        for sides in range(4):
            chat = Chat(between, {**dict.fromkeys(ROLES, 0), role: sides})
            if text == chat.join(messages, generate):
                return sides
    return 0


def _agrees(renderer: Renderer, chat: Chat, roles: Sequence[str]) -> bool:
    """Whether the template gives what the parts give, for every conversation they allow."""
    for sequence, generate in _conversations(roles, _LONGEST):
        for shift in range(len(_CONTENTS)):
            contents = (_CONTENTS * 2)[shift : shift + len(sequence)]
            messages = list(zip(sequence, contents, strict=True))
            joined = chat.join(messages, generate)
            if joined is not None and joined != renderer.render(messages, generate):
                return False
    return True
