"""Other builds of engine/tokenizer give the ids and texts of the library tokenizers.

A small program (probe_tokenizer.cc) is built for arm64 and run under qemu, and built for the host
with the sanitizers, which also watch it read damaged blobs.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from native.probes import ARM_COMPILER, SANITIZERS, build, emulator, run_probe
from tokenizers import Tokenizer

from lamella.targets.native.chat import compile_chat
from lamella.targets.native.tokenizer import compile_tokenizer
from native import tokenizer_families as families

PARTS = ("engine/tokenizer",)
CHAT = compile_chat(
    "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}",
    {},
)
REFUSED = struct.pack("<I", 0xFFFFFFFF)


def sized(data: bytes, items: int | None = None) -> bytes:
    return struct.pack("<I", len(data) if items is None else items) + data


def asked(blob: bytes, texts: list[bytes]) -> bytes:
    return struct.pack("<II", len(blob), len(texts)) + blob + b"".join(map(sized, texts))


def answered(library: Tokenizer, text: str) -> bytes:
    ids = library.encode(text).ids
    whole, plain = (library.decode(ids, skip_special_tokens=skip) for skip in (False, True))
    stored = struct.pack(f"<{len(ids)}i", *ids)
    chat = f"<user>{text.strip()}<assistant>"
    texts = b"".join(sized(part.encode()) for part in (whole, plain, chat))
    return sized(stored, len(ids)) + texts


def cases() -> Iterator[tuple[str, bytes, bytes]]:
    """Yields the name of a family, what the probe reads, and what it must answer."""
    texts = ["", *families.LANGUAGES, " ".join(families.LANGUAGES)]
    for family in families.FAMILIES:
        library = family()
        blob = compile_tokenizer(library.to_str(), CHAT)
        answer = b"".join(answered(library, text) for text in texts)
        yield family.__name__, asked(blob, [text.encode() for text in texts]), answer


def check(command: list[str], folder: Path) -> None:
    expected = list(cases())
    path = folder / "cases"
    path.write_bytes(b"".join(read for _, read, _ in expected))
    given, _ = run_probe([*command, path], "portable")
    at = 0
    for name, _, answer in expected:
        assert given[at : at + len(answer)] == answer, name
        at += len(answer)
    assert at == len(given)


def damaged() -> Iterator[bytes]:
    """Yields blobs with some bytes changed, most of them near the start."""
    generator = random.Random(1)
    for family in (families.llama2, families.phi3, families.qwen2, families.number_runs):
        whole = compile_tokenizer(family().to_str(), CHAT)
        for number in range(250):
            blob = bytearray(whole)
            for _ in range(generator.randint(1, 4)):
                reach = len(blob) if number % 2 else 512
                byte = generator.choice([0, 1, 255, generator.randrange(256)])
                blob[generator.randrange(reach)] = byte
            yield bytes(
                blob[: generator.choice([len(blob)] * 9 + [generator.randrange(len(blob))])]
            )


@pytest.mark.arm
def test_arm64_gives_the_same_ids_under_qemu(tmp_path: Path) -> None:
    command = emulator("cortex-a72")
    program = build(ARM_COMPILER, tmp_path, "probe_tokenizer", (), "-static", parts=PARTS)
    check([*command, str(program)], tmp_path)


def test_sanitizers_find_nothing(tmp_path: Path) -> None:
    program = build("g++", tmp_path, "probe_tokenizer", (), *SANITIZERS, parts=PARTS)
    check([str(program)], tmp_path)
    texts = [families.LANGUAGES[5].encode(), b"<s> 12\xff\xe2\x82 \xf0\x9f e\xcc\x81"]
    path = tmp_path / "damaged"
    path.write_bytes(b"".join(asked(blob, texts) for blob in damaged()))
    given, _ = run_probe([program, path], "portable")
    assert given.count(REFUSED) > 100
    assert len(given) > 100 * len(REFUSED) + 10_000
