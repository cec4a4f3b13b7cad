"""Operations of decoders against kernels and numpy, and texts of the engine's generator."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers

from lamella import _native
from lamella.errors import DeviceError
from lamella.frontend.huggingface import trace_pretrained
from lamella.runtime.sampling import Sampling
from lamella.targets.native.decoder.build import DecoderOptions
from lamella.targets.native.decoder.lower import lower
from lamella.targets.native.decoder.runner import DecoderRunner
from lamella.targets.native.program import Call, Program, Symbol, Value
from lamella.targets.native.writer import write

Array = npt.NDArray[Any]
GREEDY = _native.Sampling()
PROMPT = [5, 17, 99, 3]


def opened(program: Program, **options: Any) -> _native.Session:
    files = write(program)
    return _native.Session(
        files["program.bin"], np.frombuffer(files["weights.bin"], np.uint8), **options
    )


def stored(bits: int, capacity: int = 12) -> tuple[_native.Session, Array]:
    """A program that stores into a cache, and decodes it through attention of a single key."""
    program = Program([Symbol("tokens", 1, 8)])
    x = program.input("x", "float32", ("tokens", 2, 6))
    place = program.input("place", "int32", ("tokens",))
    query = program.input("query", "float32", (1, 1, 2, 6))
    position = program.input("position", "int32", (1,))
    keys = program.input("keys", "int32", (capacity,))
    dtype = {32: "float32", 16: "float16", 8: "int8", 4: "uint8"}[bits]
    items = 3 if bits == 4 else 6
    state = program.state(dtype, (1, capacity, 2, items))
    states = [state] + ([program.state("float32", (1, capacity, 2))] if bits < 16 else [])
    program.update("kv_store", (x, place), states, (bits,))
    cache = (state, states[1] if bits < 16 else None)
    program.outputs["y"] = program.call(
        "attention",
        (query, *cache, *cache, position, keys, None),
        query.axes,
        integers=(bits, 0),
        numbers=(1.0,),
    )
    return opened(program), np.random.default_rng(bits).normal(size=(5, 2, 6)).astype(np.float32)


@pytest.mark.parametrize(("bits", "bound"), [(32, 0), (16, 1e-3), (8, 1.2e-2), (4, 0.22)])
def test_what_is_stored_is_read_again_at_its_place(bits: int, bound: float) -> None:
    session, x = stored(bits)
    places = np.array([7, 0, 11, 3, 4], np.int32)
    for token, place in enumerate(places):
        keys = np.full(12, -1, np.int32)
        keys[place] = 0
        feeds = {"query": np.ones((1, 1, 2, 6), np.float32), "position": np.zeros(1, np.int32)}
        y = session.run({"x": x, "place": places, "keys": keys, **feeds})["y"][0, 0]
        assert np.abs(y - x[token]).max() <= bound * np.abs(x[token]).max()


@pytest.mark.parametrize(
    ("places", "sentence"),
    [
        ([0, 1, 2, 3, 12], "place 4 is 12, but must be from 0 to below 12"),
        ([0, -1, 2, 3, 4], "place 1 is -1"),
        ([0, 1, 2, 1, 4], "two tokens have the place 1"),
    ],
)
def test_places_outside_the_cache_are_refused(places: list[int], sentence: str) -> None:
    session, x = stored(8)
    feeds = {"query": np.ones((1, 1, 2, 6), np.float32), "position": np.zeros(1, np.int32)}
    keys = np.zeros(12, np.int32)
    with pytest.raises(ValueError, match=f"kv_store: {sentence}"):
        session.run({"x": x, "place": np.array(places, np.int32), "keys": keys, **feeds})


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("tokens", [1, 90])
def test_rope_turns_by_the_angles_of_each_position(tokens: int, threads: int) -> None:
    rng = np.random.default_rng(4)
    angle = rng.uniform(0, 6, (100, 32))
    tables = [np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)]
    program = Program([Symbol("tokens", 1, 90)])
    x = program.input("x", "float32", ("tokens", 8, 64))
    position = program.input("position", "int32", ("tokens",))
    constants = [program.constant(table) for table in tables]
    program.outputs["y"] = program.call("rope", (x, *constants, position), x.axes)
    session = opened(program, threads=threads)
    value = rng.normal(size=(tokens, 8, 64)).astype(np.float32)
    positions = rng.integers(0, 100, tokens, np.int32)
    y = session.run({"x": value, "position": positions})["y"]
    turn = np.exp(1j * angle[positions])[:, None] * (value[..., :32] + 1j * value[..., 32:])
    np.testing.assert_allclose(y, np.concatenate([turn.real, turn.imag], 2), atol=1e-5)
    with pytest.raises(ValueError, match="rope: position 0 is 100"):
        session.run({"x": value, "position": positions * 0 + 100})


def test_take_copies_rows_and_refuses_others() -> None:
    program = Program([Symbol("rows", 1, 9)])
    x = program.input("x", "float32", (4, 3))
    row = program.input("row", "int32", ("rows",))
    program.outputs["y"] = program.call("take", (x, row), ("rows", 3))
    session, value = opened(program), np.arange(12, dtype=np.float32).reshape(4, 3)
    rows = np.array([3, 0, 3, 1, 2], np.int32)
    np.testing.assert_array_equal(session.run({"x": value, "row": rows})["y"], value[rows])
    with pytest.raises(ValueError, match="take: row 1 is 4"):
        session.run({"x": value, "row": np.array([0, 4], np.int32)})


@pytest.mark.parametrize("threads", [1, 3])
def test_layers_in_one_call_equal_single_ones(threads: int) -> None:
    rng = np.random.default_rng(6)
    program = Program()
    x = program.input("x", "float32", (5, 70))
    value = rng.normal(size=(5, 70)).astype(np.float32)
    operands: list[Value | None] = [x]
    results, integers, expected = [], [], []
    for rows, bits in ((20, 4), (3, 8), (41, 3)):
        codes = rng.integers(0, 1 << bits, (rows, 70), np.uint8)
        scale = rng.uniform(0.01, 0.1, (rows, 3)).astype(np.float16)
        weight = _native.pack_linear(codes, scale, None, bits, 32)
        operands += [program.constant(weight.codes), program.constant(weight.scale), None, None]
        results.append(Value("float32", program.view(x, (5, rows)).axes))
        integers += [bits, 32]
        expected.append(_native.linear_a8_kernel(bits).run(weight, value))
    program.calls.append(
        Call("linear_a8", tuple(operands), tuple(results), tuple(integers), (), "")
    )
    program.outputs = {str(number): result for number, result in enumerate(results)}
    found = opened(program, threads=threads).run({"x": value})
    assert [found[str(i)].tobytes() for i in range(3)] == [y.tobytes() for y in expected]


@cache
def llama() -> tuple[torch.nn.Module, DecoderRunner]:
    torch.set_num_threads(1)
    torch.manual_seed(3)
    config = transformers.LlamaConfig(
        vocab_size=131,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    module = transformers.LlamaForCausalLM(config)
    files = lower(
        trace_pretrained(module, name="llama", licence="none"), DecoderOptions("f32", block=8)
    ).program
    weights = np.frombuffer(files["weights.bin"], np.uint8)
    return module, DecoderRunner(files["program.bin"], weights, 1)


def generator(capacity: int = 64) -> _native.Generator:
    opened = llama()[1]
    symbols = {"capacity": capacity}
    return _native.Generator(opened.program, opened.weights, 1, symbols)


def text(given: _native.Generator, most: int, sampling: _native.Sampling = GREEDY) -> list[int]:
    found: list[int] = []
    assert given.generate(PROMPT, found.append, most, sampling) == "most"
    return found


def test_greedy_text_is_that_of_the_module() -> None:
    ids = list(PROMPT)
    for _ in range(20):
        with torch.no_grad():
            ids.append(int(llama()[0](torch.tensor([ids])).logits[0, -1].argmax()))
    assert text(generator(), 20) == ids[4:]


def test_text_can_go_on_and_begin_again() -> None:
    given, found = generator(), []
    whole = text(generator(), 20)
    assert text(given, 8) == whole[:8]
    assert given.generate([], found.append, 12, GREEDY) == "most"
    assert found == whole[8:]
    assert given.length == 24
    given.reset()
    assert text(given, 20) == whole


def test_the_same_seed_gives_the_same_text() -> None:
    sampling = [_native.Sampling(1.5, 40, 0.95, seed) for seed in (7, 7, 8)]
    first, second, third = (text(generator(), 20, chosen) for chosen in sampling)
    assert first == second != third


def test_endings() -> None:
    whole = text(generator(), 20)
    found: list[int] = []
    stop = next(token for token in whole if token != whole[0])
    assert generator().generate(PROMPT, found.append, 20, GREEDY, [stop]) == "stop"
    assert found == whole[: whole.index(stop)]
    found = []
    assert generator(10).generate(PROMPT, found.append, 20, GREEDY) == "full"
    assert found == whole[:7]
    found = []

    def three(token: int) -> bool:
        found.append(token)
        return len(found) < 3

    assert generator().generate(PROMPT, three, 20, GREEDY) == "caller"
    assert found == whole[:3]


def test_a_sink_that_fails_or_asks_for_more_is_told() -> None:
    given = generator()

    def fails(_token: int) -> bool:
        raise KeyError("full disk")

    with pytest.raises(KeyError, match="full disk"):
        given.generate(PROMPT, fails)
    with pytest.raises(ValueError, match="running already"):
        given.generate(PROMPT, lambda token: bool(given.next(GREEDY)))


def test_rows_give_the_logits_of_the_last_tokens() -> None:
    given, single = generator(), generator()
    rows = given.append(PROMPT * 3, 8)
    expected = np.concatenate([single.append([token]) for token in PROMPT * 3])
    assert rows.tobytes() == expected[-8:].tobytes()
    assert given.next(GREEDY) == single.next(GREEDY)


@pytest.mark.parametrize(
    ("ids", "rows", "sentence"),
    [
        ([1] * 65, 1, "would have 65 tokens, and there is room for 64"),
        ([1], 2, "logits of 2 tokens"),
        ([], 1, "there are 0"),
        ([131], 1, "id 131"),
        ([-1], 1, "id -1"),
    ],
)
def test_texts_that_do_not_fit_are_refused(ids: list[int], rows: int, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        generator().append(ids, rows)


def test_the_runner_gives_tokens_and_clean_errors() -> None:
    decoder = llama()[1].decoder()
    tokens = decoder.tokens(PROMPT, Sampling())
    assert [next(tokens) for _ in range(20)] == text(generator(), 20)
    with pytest.raises(DeviceError, match="id 500"):
        decoder.advance([500])
    with pytest.raises(DeviceError, match="capacity must lie from 1 to 64"):
        llama()[1].decoder(65)
    assert llama()[1].run({"input_ids": np.zeros((0, 3), np.int64)})["logits"].shape == (0, 3, 131)
