"""Operations of the engine that move or gather elements, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from one_call import Case, fuzz

from lamella import _native

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 5, 4)).astype(np.float32)
IDS = RNG.integers(0, 11, (2, 7), np.int64)
TABLE = RNG.normal(size=(11, 6)).astype(np.float32)
PACKED = _native.pack_linear(
    RNG.integers(0, 16, (11, 40), np.uint8), np.full((11, 2), 0.5, np.float16), None, 4, 32
)
CODES = RNG.integers(0, 256, (1, 6, 5, 3), np.uint8)
POOL = (3, 3, 2, 2, 1, 1, 1, 1, 1, 1)
IMAGE = RNG.normal(size=(2, 7, 6, 5)).astype(np.float32)
WINDOW = _native.Window((3, 3), (2, 2), (1, 1, 1, 1))

CASES = [
    Case("transpose", [X], X.transpose(2, 0, 1).copy(), (2, 0, 1)),
    Case("concat", [X, X[:, :2].copy()], np.concatenate([X, X[:, :2]], 1), (1,), fed=(0, 1)),
    Case("slice", [X], X[:, 1::2].copy(), (1, 1, 2)),
    Case("slice", [X], X[:, -2:].copy(), (1, -2, 1)),
    Case("copy", [X], X.reshape(15, 4)),
    Case("cast", [X], X.astype(np.float16)),
    Case("cast", [IDS], IDS.astype(np.bool_)),
    Case("cast", [IDS], IDS.astype(np.float32)),
    Case("cast", [np.float32([1e20, -1e20, np.nan])], np.int32([2**31 - 1, -(2**31), 0])),
    Case("sqrt", [np.abs(X)], np.sqrt(np.abs(X))),
    Case("sum", [X], np.add.accumulate(X, 1)[:, -1:].copy(), (1,)),
    Case("embed", [TABLE, IDS], TABLE[IDS], fed=(1,)),
    Case(
        "embed",
        [TABLE.astype(np.float16), IDS],
        TABLE.astype(np.float16)[IDS].astype("f4"),
        fed=(1,),
    ),
    Case(
        "embed_codes",
        [PACKED.codes, PACKED.scale, PACKED.zero, IDS],
        _native.embed_kernel().run(PACKED, IDS.reshape(-1).astype(np.int32)).reshape(2, 7, 40),
        (11, 40, 4, 32),
        fed=(3,),
    ),
    Case(
        "quantize",
        [X],
        np.clip(np.rint(X / np.float32(0.1)) + 9, 0, 255).astype(np.uint8),
        (9,),
        (0.1,),
    ),
    Case("dequantize", [CODES], (CODES.astype(np.float32) - 9) * np.float32(0.1), (9,), (0.1,)),
    Case("pool2d", [IMAGE], _native.pool2d_kernel().maximum(WINDOW, IMAGE), (2, *POOL)),
    Case("pool2d", [IMAGE], _native.pool2d_kernel().average(WINDOW, IMAGE), (0, *POOL)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.operation)
def test_equals_numpy_or_the_kernel(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.operation)
def test_a_changed_program_never_reads_outside(case: Case) -> None:
    assert fuzz(*case.program(), flips=(255,)) > 30


@pytest.mark.parametrize("wrong", [-1, 11, 2**40])
def test_an_id_outside_the_table_is_refused(wrong: int) -> None:
    ids = np.int64([1, wrong])
    case = Case("embed", [TABLE, ids], np.zeros((2, 6), np.float32), fed=(1,))
    with pytest.raises(ValueError, match=f"the id {wrong} is outside the table, which has 11 rows"):
        case.run()
