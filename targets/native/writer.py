"""Writes a program of the native engine: `native/engine/PROGRAM.md` is the specification."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from lamella.errors import LoweringError
from lamella.targets.native.memory import Lifetime, aligned, plan
from lamella.targets.native.program import Call, Place, Program, Symbol, Value

DTYPES = ("float32", "float16", "int8", "uint8", "int32", "int64", "bool")
PLACES: tuple[Place, ...] = ("arena", "weights", "input", "state")
NONE = 2**32 - 1

# Operations that may write their result where their first operand lies, where that has the same
# bytes and nobody reads it any more.
IN_PLACE = {"exp", "sigmoid", "tanh", "erf", "relu", "relu6", "gelu", "gelu_tanh", "silu"} | {
    *("hard_swish", "add", "sub", "mul", "div", "minimum", "maximum", "swiglu"),
    *("softmax", "rmsnorm", "rope"),
}


def write(program: Program) -> dict[str, bytes]:
    """Plans the memory of a program and returns `program.bin` and `weights.bin`.

    Raises:
        LoweringError: an array has a dtype or a number of axes that the engine does not have.
    """
    return _Writer(program).files()


class _Writer:
    """Numbers the values of a program, places them, and writes the file."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.values: dict[Value, int] = {}
        self.weights = bytearray()
        self.offsets: dict[Value, int] = {}
        for value in self._all():
            self.values.setdefault(value, len(self.values))
        self._place_constants()
        self.arena = self._place_arena()
        for number, value in enumerate(program.inputs.values()):
            self.offsets[value] = number
        states = [value for value in self.values if value.place == "state"]
        for number, value in enumerate(states):
            self.offsets[value] = number

    def files(self) -> dict[str, bytes]:
        """Returns the two files."""
        return {"program.bin": self._program(), "weights.bin": bytes(self.weights)}

    def _all(self) -> Iterator[Value]:
        yield from self.program.inputs.values()
        for call in self.program.calls:
            yield from (value for value in (*call.operands, *call.results) if value is not None)
        yield from self.program.outputs.values()

    def _place_constants(self) -> None:
        stored: dict[tuple[str, bytes], int] = {}
        for value in self.values:
            if value.place != "weights" or value.owner in self.offsets:
                continue
            data = value.owner.data
            assert data is not None
            key = (value.dtype, data.tobytes())
            if key not in stored:
                stored[key] = len(self.weights)
                self.weights += key[1].ljust(aligned(len(key[1])), b"\0")
            self.offsets[value.owner] = stored[key]

    def _place_arena(self) -> int:
        spans = self._spans()
        arrays = [Lifetime(nbytes, first, last) for nbytes, first, last in spans.values()]
        offsets, total = plan(arrays)
        self.offsets |= dict(zip(spans, offsets, strict=True))
        return total

    def _spans(self) -> dict[Value, tuple[int, int, int]]:
        """Returns bytes, first and last call of each piece of the arena, by the value it is of."""
        program, calls = self.program, self.program.calls
        last = {value.owner: len(calls) for value in program.outputs.values()}
        for number, call in reversed(list(enumerate(calls))):
            for value in (*call.operands, *call.results):
                if value is not None:
                    last.setdefault(value.owner, number)
        spans: dict[Value, tuple[int, int, int]] = {}
        self.merged: dict[Value, Value] = {}
        for number, call in enumerate(calls):
            for result in call.results:
                if result.place != "arena":
                    continue
                piece = self._reused(call, number, last)
                if piece is None:
                    spans[result] = (program.nbytes(result), number, last[result])
                else:
                    self.merged[result] = piece
                    nbytes, first, until = spans[piece]
                    spans[piece] = (nbytes, first, max(until, last[result]))
        return spans

    def _reused(self, call: Call, number: int, last: dict[Value, int]) -> Value | None:
        """Returns the piece that a result may take over from the first operand, or None."""
        first = call.operands[0] if call.operands else None
        if call.operation not in IN_PLACE or first is None or first.place != "arena":
            return None
        owner, result = first.owner, call.results[0]
        others = [value.owner for value in call.operands[1:] if value is not None]
        alone = last[owner] == number and owner not in others
        if not alone or self.program.nbytes(owner) != self.program.nbytes(result):
            return None
        return self.merged.get(owner, owner)

    def _offset(self, value: Value) -> int:
        owner = value.owner
        return self.offsets[self.merged.get(owner, owner)]

    def _program(self) -> bytes:
        program = self.program
        operations = sorted({call.operation for call in program.calls})
        labels = ["", *sorted({call.label for call in program.calls} - {""})]
        bits = {symbol.name: 1 << i for i, symbol in enumerate(program.symbols)}
        parts = [b"LMP1", _list([_symbol(symbol) for symbol in program.symbols])]
        parts += [_list([_text(name) + struct.pack("<H", 1) for name in operations])]
        parts += [_list([_text(label) for label in labels])]
        parts += [_list([self._value(value, bits) for value in self.values])]
        for ports in (program.inputs, program.outputs):
            rows = ((name, self.values[value]) for name, value in ports.items())
            parts += [_list([_text(name) + struct.pack("<I", number) for name, number in rows])]
        parts += [_list([self._call(call, operations, labels) for call in program.calls])]
        return b"".join([*parts, struct.pack("<QQ", self.arena, len(self.weights))])

    def _value(self, value: Value, bits: dict[str, int]) -> bytes:
        if len(value.axes) > 6 or value.dtype not in DTYPES:
            raise LoweringError(
                f"the engine has no {value.dtype} arrays with {len(value.axes)} axes; it has at "
                f"most 6 axes of {', '.join(DTYPES)}"
            )
        kind = (DTYPES.index(value.dtype), PLACES.index(value.place))
        head = struct.pack("<BBQB", *kind, self._offset(value), len(value.axes))
        axes = (
            struct.pack("<qqI", a.add, a.mul, sum(bits[name] for name in a.symbols))
            for a in value.axes
        )
        return head + b"".join(axes)

    def _call(self, call: Call, operations: list[str], labels: list[str]) -> bytes:
        operands = [
            NONE if value is None else self.values[value]
            for value in (*call.operands, *call.results)
        ]
        head = struct.pack("<HI", operations.index(call.operation), labels.index(call.label))
        lists = (("I", operands), ("q", call.integers), ("f", call.numbers))
        body = b"".join(struct.pack(f"<B{len(x)}{kind}", len(x), *x) for kind, x in lists)
        return head + body + struct.pack("<B", len(call.results))


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<H", len(encoded)) + encoded


def _list(items: list[bytes]) -> bytes:
    return struct.pack("<I", len(items)) + b"".join(items)


def _symbol(symbol: Symbol) -> bytes:
    return _text(symbol.name) + struct.pack("<BII", symbol.opening, symbol.least, symbol.most)
