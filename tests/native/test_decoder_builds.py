"""Other builds of attention, kv_store, embed and sample give the bits of the numpy references.

A small program (probe_decoder.cc) is built for arm64 and run under qemu, and built for the host
with the checks of debug builds and the sanitizers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from native.probes import ARM_COMPILER, COMPILERS, SANITIZERS, build, emulator, run_probe
from native.reference_attention import FORMATS
from native.reference_float import draw
from native.reference_linear import Weight
from native.reference_sample import Options
from native.rows import selected

from lamella import _native
from lamella.formats import WEIGHT_BITS
from native import reference_attention, reference_linear, reference_sample

OPERATIONS = ("attention", "kv_store", "embed", "sample", "softmax")
# tokens, heads, positions, kv_heads, head_dim
SHAPES = (
    (1, 6, 33, 2, 64),
    (4, 4, 9, 2, 17),
    (9, 3, 37, 1, 80),
    (2, 5, 16, 1, 1),
    (3, 6, 5, 3, 47),
    (2, 2, 0, 1, 8),
)

# The operation, what the probe reads, and what it must answer.
Case = tuple[str, bytes, bytes]


def case(operation: str, head: tuple[int, ...], arrays: list[object], answer: bytes) -> Case:
    """Returns a case; arrays that are None are left out."""
    number = OPERATIONS.index(operation)
    asked = struct.pack("<9I", number, *head, *[0] * (8 - len(head)))
    parts = [array.tobytes() for array in arrays if isinstance(array, np.ndarray)]
    return operation, asked + b"".join(parts), answer


def attention_cases() -> Iterator[Case]:
    generator = np.random.default_rng(1)
    for seed, form in enumerate([*FORMATS, *FORMATS]):
        for tokens, heads, positions, kv_heads, head_dim in SHAPES:
            other = FORMATS[(seed + seed // 4) % 4]
            query = draw(seed, tokens, heads, head_dim)
            keys, values = (
                reference_attention.store(name, draw(seed + 9, positions, kv_heads, head_dim))
                for name in (form, other)
            )
            window = 1 + seed % 4
            query_position = generator.integers(0, positions + 1, tokens, dtype=np.int32)
            key_position = generator.permutation(positions).astype(np.int32) - np.int32(1)
            kept = generator.random(positions) < 0.7
            causal = bool(seed % 2)
            mask = [query_position, key_position] if causal else [kept]
            seen = np.tile(kept, (tokens, 1))
            if causal:
                seen = reference_attention.causal(query_position, key_position, window)
            head = (tokens, heads, positions, kv_heads, head_dim, FORMATS.index(form))
            arrays = [query, keys.data(), keys.scale, values.data(), values.scale, *mask]
            answer = reference_attention.attend(query, keys, values, seen, 0.3).tobytes()
            head = (*head, FORMATS.index(other), window + 1 if causal else 0)
            yield case("attention", head, arrays, answer)


def kv_store_cases() -> Iterator[Case]:
    for number, form in enumerate(FORMATS):
        for head_dim in (1, 16, 33):
            x = draw(head_dim, 5, 2, head_dim, scale=10.0 ** (number - 2))
            x[1, 1] = 0
            place = np.array([3, 1, 4, 0, 2], np.int32)
            cache = reference_attention.store(form, x)
            stored = [cache.data()] if cache.scale is None else [cache.data(), cache.scale]
            answer = b"".join(part[np.argsort(place)].tobytes() for part in stored)
            yield case("kv_store", (5, 2, head_dim, number), [x, place], answer)


def embed_cases() -> Iterator[Case]:
    generator = np.random.default_rng(2)
    id_ = np.array([8, 0, 7, 8], np.int32)
    for number, (bits, cols) in enumerate(
        (bits, cols) for bits in WEIGHT_BITS for cols in (33, 96)
    ):
        group = (0, 16, 32, 64, 128)[number % 5]
        grids = (9, -(-cols // group) if group else 1)
        codes = generator.integers(0, 1 << bits, (9, cols), dtype=np.uint8)
        real = generator.uniform(-1, 1, grids)
        scale = real.astype(np.float16) if group else real.astype(np.float32)
        zero = generator.integers(0, 1 << bits, grids, dtype=np.uint8) if number % 3 else None
        weight = Weight(bits, group, codes, scale, zero)
        arrays = [reference_linear.pack(codes, bits), reference_linear.pack_grids(scale, group)]
        arrays += [] if zero is None else [reference_linear.pack_grids(zero, group)]
        stored = arrays[1].shape[1]
        head = (9, cols, bits, group, stored, 4, int(zero is not None))
        answer = weight.decode().astype(np.float32)[id_].tobytes()
        yield case("embed", head, [*arrays, id_], answer)
    for bits, dtype in ((16, np.float16), (32, np.float32)):
        table = draw(bits, 9, 21).astype(dtype)
        answer = table[id_].astype(np.float32).tobytes()
        yield case("embed", (9, 21, bits, 0, 0, 4), [table, id_], answer)


def sample_cases() -> Iterator[Case]:
    cuts = (Options(1.0), Options(0.5, 4), Options(2.0, 0, 0.75), Options(1.0, 20, 0.5), Options())
    for step, count in enumerate((1, 15, 16, 17, 40, 300)):
        for options in cuts:
            logits, chosen = draw(step, count), replace(options, seed=5, step=step)
            real = np.array([options.temperature, options.top_p], np.float32)
            token = reference_sample.token(logits, chosen)
            answer = struct.pack("<2i", logits.argmax(), token)
            yield case("sample", (count, options.top_k, 5, step), [real, logits], answer)


def check(command: list[str], isa: str, folder: Path) -> None:
    cases = [*attention_cases(), *kv_store_cases(), *embed_cases(), *sample_cases()]
    path = folder / "cases"
    path.write_bytes(b"".join(asked for _, asked, _ in cases))
    given, ran = run_probe([*command, path], isa)
    assert ran == [selected(name, isa) for name, _, _ in cases]
    at = 0
    for number, (name, _, answer) in enumerate(cases):
        assert given[at : at + len(answer)] == answer, f"case {number}, of {name}"
        at += len(answer)
    assert at == len(given)


@pytest.mark.arm
def test_arm64_gives_the_same_bits_under_qemu(tmp_path: Path) -> None:
    newest, oldest = emulator("max"), emulator("cortex-a72")
    program = str(build(ARM_COMPILER, tmp_path, "probe_decoder", OPERATIONS, "-static"))
    for isa in ("portable", "neon"):
        check([*newest, program], isa, tmp_path)
    check([*oldest, program], "neon", tmp_path)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_sanitizers_find_nothing_in_any_kernel(compiler: str, tmp_path: Path) -> None:
    program = build(compiler, tmp_path, "probe_decoder", OPERATIONS, *SANITIZERS)
    for isa in _native.isa_of_this_processor():
        check([str(program)], isa, tmp_path)
