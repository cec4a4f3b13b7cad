"""Mirrors targets/native/chat.py: the engine writes conversations as transformers does."""

from __future__ import annotations

import json
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.utils.chat_template_utils import render_jinja_template

from lamella import _native
from lamella.errors import LoweringError
from lamella.targets.native.chat import compile_chat, read_config
from lamella.targets.native.tokenizer import compile_tokenizer
from native import tokenizer_families as families

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
ALTERNATE = """{% for message in messages %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
{% endif %}"""
TEMPLATES = {
    "chatml": families.fields()["tokenizer.chat_template"].contents(),
    "llama3": (
        "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + "
        "'<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' %}"
        "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}"
        "{% endfor %}{% if add_generation_prompt %}"
        "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
    ),
    "mistral": (
        "{{ bos_token }}" + ALTERNATE.replace("\n", "") + "{% if message['role'] == 'user' %}"
        "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
        "{{ message['content'] + eos_token }}{% else %}"
        "{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}"
        "{% endfor %}"
    ),
    "gemma": (
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
        "{{ raise_exception('System role not supported') }}{% endif %}"
        + ALTERNATE.replace("\n", "")
        + "{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}"
        "{% set role = message['role'] %}{% endif %}"
        "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
    ),
    "phi3": (
        "{% for message in messages %}\n"
        "    {%- if message['role'] in ['system', 'user', 'assistant'] %}\n"
        "        {{- '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}\n"
        "    {%- endif %}\n"
        "{%- endfor %}\n"
        "{%- if add_generation_prompt %}{{- '<|assistant|>\n' }}{%- else %}{{- eos_token }}"
        "{%- endif %}"
    ),
    # The system message goes into the first of the user, which is stripped only by itself.
    "llama2": (
        "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}"
        "{% set system = '<<SYS>>\n' + messages[0]['content'] + '\n<</SYS>>\n\n' %}"
        "{% else %}{% set rest = messages %}{% set system = '' %}{% endif %}"
        "{% for message in rest %}{% set content = message['content'] %}"
        "{% if loop.first %}{% set content = system + content %}{% endif %}"
        "{% if message['role'] == 'user' %}"
        "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% else %}"
        "{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
    ),
}
SYSTEMS = {"chatml", "llama3", "phi3"}

TEXT = st.text(max_size=6) | st.sampled_from(
    ["", "  x  ", "\x1c\n", "\u3000y\u2028", "<s>", "{{ 1 }}"]
)
MESSAGES = st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), TEXT), max_size=7)


@cache
def engine(name: str) -> _native.Tokenizer:
    chat = compile_chat(TEMPLATES[name], TOKENS)
    return _native.Tokenizer(compile_tokenizer(families.llama2().to_str(), chat))


def rendered(name: str, messages: list[tuple[str, str]], generate: bool) -> str:
    given = [{"role": role, "content": content} for role, content in messages]
    texts, _ = render_jinja_template(
        [given], chat_template=TEMPLATES[name], add_generation_prompt=generate, **TOKENS
    )
    return str(texts[0])


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("generate", [True, False])
@pytest.mark.parametrize("rounds", [1, 2, 4])
def test_a_conversation_is_written_as_by_transformers(
    name: str, generate: bool, rounds: int
) -> None:
    messages = [("user", " What is\nthis? "), ("assistant", "\tA lamella. \n")] * rounds
    for spoken in (messages, messages[:-1]):
        for first in ([], [("system", " Be brief. ")] if name in SYSTEMS else []):
            whole = [*first, *spoken]
            assert engine(name).apply_chat(whole, generate) == rendered(name, whole, generate)


@pytest.mark.parametrize("name", TEMPLATES)
@settings(max_examples=150, deadline=None)
@given(messages=MESSAGES, generate=st.booleans())
def test_any_conversation_is_written_as_by_transformers_or_refused(
    name: str, messages: list[tuple[str, str]], generate: bool
) -> None:
    try:
        text = engine(name).apply_chat(messages, generate)
    except ValueError:
        assert not messages or name not in SYSTEMS
        return
    assert text == rendered(name, messages, generate)


def test_what_the_template_has_no_place_for_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the role system in message 0; order the"):
        engine("gemma").apply_chat([("system", "x"), ("user", "y")])
    with pytest.raises(ValueError, match="no place for the role user in message 1; order the"):
        engine("mistral").apply_chat([("user", "x"), ("user", "y")])
    with pytest.raises(ValueError, match='the role "tool" in message 1 is not system, user or'):
        engine("chatml").apply_chat([("user", "x"), ("tool", "y")])
    with pytest.raises(ValueError, match="cannot end after 0 messages"):
        engine("chatml").apply_chat([])


def test_without_a_template_there_is_no_conversation() -> None:
    opened = _native.Tokenizer(compile_tokenizer(families.llama2().to_str()))
    with pytest.raises(ValueError, match="the tokenizer has no chat template; write the prompt"):
        opened.apply_chat([("user", "x")])


LOOP = "{%% for m in messages %%}[{{ m.role }}]%s{%% endfor %%}"


@pytest.mark.parametrize(
    "body",
    [
        "{{ m.content.split('</think>')[-1] }}",
        "{% if 'x' in m.content %}!{% endif %}{{ m.content }}",
        "{% if m.content.startswith('a') %}!{% endif %}{{ m.content }}",
        "{% if m.content %}!{% endif %}{{ m.content }}",
        "{{ m.content | upper }}",
        "{{ m.content }}{{ m.content }}",
        "{{ m.content[:3] }}",
        "{% if m.content == 'secret' %}!{% endif %}{{ m.content }}",
        "{% if m.content != 'secret' %}!{% endif %}{{ m.content }}",
        "{% if m.content in ['secret'] %}!{% endif %}{{ m.content }}",
        "{{ loop.index }}{{ m.content }}",
        "{{ m.content | trim('x') }}",
        "{% if loop.revindex > 4 %}!{% endif %}{{ m.content }}",
        "",
    ],
)
def test_a_template_that_does_more_than_join_is_refused(body: str) -> None:
    compile_chat(LOOP % "{{ m.content }}", {})
    sentence = "the chat template of qwen is not a concatenation of parts per role; apply it before"
    with pytest.raises(LoweringError, match=sentence):
        compile_chat(LOOP % body, {}, name="qwen")


def test_a_template_with_the_date_is_refused() -> None:
    with pytest.raises(LoweringError, match="asks for the date \\('%d %b %Y'\\); apply it before"):
        compile_chat("{{ strftime_now('%d %b %Y') }}" + LOOP % "{{ m.content }}", {})


def test_a_template_that_is_not_jinja_is_refused() -> None:
    with pytest.raises(LoweringError, match="the chat template of phi is not one of Jinja: "):
        compile_chat("{% for %}", {}, name="phi")


def test_the_template_and_its_tokens_are_in_the_configuration() -> None:
    config = {
        "bos_token": {"content": "<s>", "lstrip": False},
        "eos_token": "</s>",
        "pad_token": None,
        "chat_template": "{{ bos_token }}",
    }
    assert read_config(json.dumps(config)) == ("{{ bos_token }}", TOKENS)
    several = [{"name": "tool_use", "template": "a"}, {"name": "default", "template": "b"}]
    assert read_config(json.dumps({"chat_template": several})) == ("b", {})
    for text in ("[]", "{", "{}", '{"chat_template": [{"name": "rag", "template": "a"}]}'):
        with pytest.raises(LoweringError, match=r"no tokenizer_config\.json with a chat_template"):
            read_config(text)
