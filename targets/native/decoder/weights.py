"""The weights of a decoder as constants of a program, and the calls that use them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lamella import _native
from lamella.errors import LoweringError
from lamella.formats import Format, parse
from lamella.frontend.model import Model
from lamella.grids import Grid, Quantized
from lamella.runtime.kernels import stored_scale
from lamella.targets.native.program import Call, Program, Value, axis

Array = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Matrix:
    """A weight as the operands of a call, the bias last.

    `integers` are bits and group of codes; None for a floating point weight.
    """

    layer: str
    rows: int
    operands: tuple[Value | None, ...]
    integers: tuple[int, int] | None


class Weights:
    """Makes constants of the layers of a model and counts their bytes."""

    def __init__(self, model: Model, module: Any, program: Program) -> None:
        self.model = model
        self.module = module
        self.program = program
        self.nbytes: dict[str, int] = {}
        self.operators: dict[str, str] = {}

    def format(self, layer: str) -> Format:
        """Returns how a layer is stored.

        Raises:
            LoweringError: inputs of the layer have grids of their own, which decoders do not use.
        """
        packed = self.model.packed.get(layer)
        format = parse(packed.format if packed else "f32")
        if format.activation != "float":
            plain = format.id.replace("a8d", "").replace("a8", "")
            raise LoweringError(
                f"layer {layer}: {format.id} has grids for its inputs; decoders of the native "
                f"target round inputs in blocks of 32 columns by themselves: use {plain}"
            )
        return format

    def matrices(self, layer: str, sizes: Sequence[int] | None = None) -> list[Matrix]:
        """Returns the weight of a linear layer, or its parts with so many rows."""
        part = self.module.get_submodule(layer)
        count = part.weight.shape[0]
        bias = None if part.bias is None else part.bias.detach().float().numpy()
        ends = np.cumsum(sizes or [count])
        if ends[-1] != count:
            raise LoweringError(f"layer {layer} has {count} rows, but its parts {ends[-1]}")
        self.nbytes[layer], found = 0, []
        for end, size in zip(ends, sizes or [count], strict=True):
            rows = slice(int(end) - size, int(end))
            shift = None if bias is None else self.program.constant(bias[rows])
            operands, integers = self._packed(layer, rows)
            found.append(Matrix(layer, size, (*operands, shift), integers))
        return found

    def _packed(
        self, layer: str, rows: slice
    ) -> tuple[tuple[Value | None, ...], tuple[int, int] | None]:
        if self.format(layer).is_float:
            values = _native.pack_float(self._values(layer)[rows]).values
            self.operators[layer] = "linear_float"
            return (self._stored(layer, values),), None
        self.operators[layer] = "linear_a8"
        return self._codes(layer, rows)

    def _codes(self, layer: str, rows: slice) -> tuple[tuple[Value | None, ...], tuple[int, int]]:
        weight = self.model.packed[layer].weight
        if weight is None:
            raise LoweringError(f"layer {layer}: its format needs codes; compress it again")
        cut = _rows_of(weight, rows)
        zero = None if cut.format.symmetric else cut.grid.zero
        try:
            packed = _native.pack_linear(
                cut.codes, stored_scale(cut), zero, cut.format.bits, cut.format.group
            )
        except ValueError as error:
            raise LoweringError(f"layer {layer}: {error}; choose another format") from error
        arrays = (packed.codes, packed.scale, packed.zero)
        values = tuple(None if array is None else self._stored(layer, array) for array in arrays)
        return values, (packed.bits, packed.group)

    def _values(self, layer: str) -> Array:
        """Returns the (rows, cols) numbers of a floating point layer in their stored type."""
        packed = self.model.packed.get(layer)
        weight = self.module.get_submodule(layer).weight.detach().float().numpy()
        if packed is not None and packed.values is not None:
            weight = packed.values
        if self.format(layer).bits == 32:
            return np.ascontiguousarray(weight, np.float32)
        half = np.ascontiguousarray(weight, np.float16)
        if not np.array_equal(half.astype(np.float32), weight):
            raise LoweringError(f"layer {layer}: a weight is not a float16; compress it again")
        return half

    def _stored(self, layer: str, array: npt.NDArray[Any]) -> Value:
        self.nbytes[layer] = self.nbytes.get(layer, 0) + array.nbytes
        return self.program.constant(array)

    def embedding(self, layer: str, ids: Value, cols: int) -> Value:
        """Adds the look-up of an embedding."""
        self.nbytes[layer] = 0
        axes = (*ids.axes, axis(cols))
        if self.format(layer).is_float:
            self.operators[layer] = "embed"
            table = self._stored(layer, self._values(layer))
            return self.program.call("embed", (table, ids), axes, label=layer)
        self.operators[layer] = "embed_codes"
        rows = self.module.get_submodule(layer).weight.shape[0]
        operands, packing = self._codes(layer, slice(0, rows))
        integers = (rows, cols, *packing)
        return self.program.call(
            "embed_codes", (*operands, ids), axes, integers=integers, label=layer
        )

    def linear(self, x: Value, matrices: Sequence[Matrix]) -> list[Value]:
        """Adds the products of an input with some weights, in one call where all are codes."""
        if any(matrix.integers is None for matrix in matrices):
            return [self._single(x, matrix) for matrix in matrices]
        results = [Value("float32", (*x.axes[:-1], axis(matrix.rows))) for matrix in matrices]
        operands = (x, *(value for matrix in matrices for value in matrix.operands))
        integers = tuple(number for matrix in matrices for number in matrix.integers or ())
        label = _joined([matrix.layer for matrix in matrices])
        self.program.calls.append(Call("linear_a8", operands, tuple(results), integers, (), label))
        return results

    def _single(self, x: Value, matrix: Matrix) -> Value:
        axes = (*x.axes[:-1], axis(matrix.rows))
        operation = "linear_float" if matrix.integers is None else "linear_a8"
        return self.program.call(
            operation,
            (x, *matrix.operands),
            axes,
            integers=matrix.integers or (0,),
            label=matrix.layer,
        )


def _rows_of(weight: Quantized, rows: slice) -> Quantized:
    grid = Grid(np.ascontiguousarray(weight.grid.scale[rows]), weight.grid.zero[rows].copy())
    return Quantized(weight.format, weight.codes[rows].copy(), grid)


def _joined(layers: Sequence[str]) -> str:
    """Returns the name of a call that several layers share: a.b.q and a.b.k are a.b.q+k."""
    first, *rest = dict.fromkeys(layers)
    return "+".join([first, *(layer.rpartition(".")[2] for layer in rest)])
