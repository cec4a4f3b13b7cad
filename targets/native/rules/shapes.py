"""Operators that change sizes or the order of elements; on lists of sizes they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir

from lamella.errors import LoweringError
from lamella.targets.native.arrays import Array
from lamella.targets.native.emitter import Emitter, Known, Rule
from lamella.targets.native.program import Axis, axis
from lamella.targets.native.sizes import broadcast, plus, product, quotient

_END = 1 << 31


def attribute(node: onnx_ir.Node, name: str, otherwise: Any) -> Any:
    """Returns the value of an attribute, or the default."""
    return node.attributes[name].value if name in node.attributes else otherwise


def numbers(emitter: Emitter, node: onnx_ir.Node, place: int) -> list[int]:
    """Returns an input that must be a list of constant whole numbers."""
    return [int(number) for number in emitter.constant(node, place).reshape(-1)]


def sizes(emitter: Emitter, node: onnx_ir.Node, place: int) -> list[Any]:
    """Returns an input that must be a list of sizes: whole numbers and `Axis`."""
    found = emitter.known(node.inputs[place])
    if found is None:
        raise LoweringError(f"input {place} must follow from the sizes of the inputs")
    return list(found.reshape(-1))


def _shape(emitter: Emitter, node: onnx_ir.Node) -> None:
    axes = emitter.raw(node.inputs[0]).axes[
        attribute(node, "start", 0) : attribute(node, "end", None)
    ]
    found: Known = np.empty(len(axes), object)
    found[:] = [a if a.symbols else a.add for a in axes]
    emitter.know(node, found)


def _identity(emitter: Emitter, node: onnx_ir.Node) -> None:
    found = emitter.known(node.inputs[0])
    if found is not None:
        emitter.know(node, found)
    else:
        emitter.set(node, emitter.raw(node.inputs[0]))


def _cast(emitter: Emitter, node: onnx_ir.Node) -> None:
    found, to = emitter.known(node.inputs[0]), onnx_ir.DataType(attribute(node, "to", 1))
    if found is not None and to.is_integer():
        emitter.know(node, found)
        return
    array, dtype = emitter.array(node.inputs[0]), str(to.numpy())
    if array.value.dtype == dtype:
        emitter.set(node, array)
        return
    value = emitter.program.call("cast", (array.value,), array.value.axes, dtype=dtype)
    emitter.set(node, Array(value, array.axes, array.order))


def _reshape(emitter: Emitter, node: onnx_ir.Node) -> None:
    known = emitter.known(node.inputs[0])
    wanted = sizes(emitter, node, 1)
    if known is not None:
        emitter.know(node, known.reshape(wanted))
        return
    array = emitter.array(node.inputs[0])
    keep = not attribute(node, "allowzero", 0)
    axes = [array.axes[i] if size == 0 and keep else size for i, size in enumerate(wanted)]
    if -1 in axes:
        rest = product(axis(size) for size in axes if size != -1)
        axes[axes.index(-1)] = quotient(product(array.axes), rest)
    reshaped(emitter, node, array, [axis(size) for size in axes])


def reshaped(emitter: Emitter, node: onnx_ir.Node, array: Array, axes: Sequence[Axis]) -> None:
    """Says that a node gives an array with other sizes."""
    value = emitter.arrays.stored(array)
    if tuple(axes) == value.axes:
        emitter.set(node, emitter.arrays.plain(value))
        return
    emitter.set(node, emitter.arrays.plain(emitter.program.view(value, axes)))


def _flatten(emitter: Emitter, node: onnx_ir.Node) -> None:
    array, at = emitter.array(node.inputs[0]), attribute(node, "axis", 1)
    at += len(array.axes) if at < 0 else 0
    reshaped(emitter, node, array, (product(array.axes[:at]), product(array.axes[at:])))


def _squeeze(emitter: Emitter, node: onnx_ir.Node) -> None:
    known = emitter.known(node.inputs[0])
    if known is not None:
        emitter.know(node, known.reshape(()) if known.size == 1 else known)
        return
    array = emitter.array(node.inputs[0])
    rank = len(array.axes)
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        gone = {at % rank for at in numbers(emitter, node, 1)}
    else:
        gone = {at for at, size in enumerate(array.axes) if size == Axis(add=1)}
    dropped(emitter, node, array, gone)


def dropped(emitter: Emitter, node: onnx_ir.Node, array: Array, gone: set[int]) -> None:
    """Says that a node gives an array without some axes of size 1; the order stays."""
    left = [at for at in range(len(array.axes)) if at not in gone]
    order = tuple(left.index(at) for at in array.order if at not in gone)
    pairs = zip(array.order, array.value.axes, strict=True)
    axes = [size for at, size in pairs if at not in gone]
    value = emitter.program.view(array.value, axes)
    emitter.set(node, Array(value, tuple(array.axes[at] for at in left), order))


def _unsqueeze(emitter: Emitter, node: onnx_ir.Node) -> None:
    known = emitter.known(node.inputs[0])
    if known is not None:
        emitter.know(node, known.reshape(-1))
        return
    array = emitter.array(node.inputs[0])
    rank = len(array.axes) + emitter.constant(node, 1).size
    new = sorted(at % rank for at in numbers(emitter, node, 1))
    old = [at for at in range(rank) if at not in new]
    order = (*new, *(old[at] for at in array.order))
    value = emitter.program.view(array.value, (*(Axis(add=1) for _ in new), *array.value.axes))
    axes = [Axis(add=1)] * rank
    for at, size in zip(old, array.axes, strict=True):
        axes[at] = size
    emitter.set(node, Array(value, tuple(axes), order))


def _expand(emitter: Emitter, node: onnx_ir.Node) -> None:
    array = emitter.array(node.inputs[0])
    wanted = [axis(size) for size in sizes(emitter, node, 1)]
    missing = len(wanted) - len(array.axes)
    if missing < 0:
        raise LoweringError("it expands to fewer axes than there are")
    ones = (Axis(add=1),) * missing
    value = (
        emitter.program.view(array.value, (*ones, *array.value.axes)) if missing else array.value
    )
    order = (*range(missing), *(at + missing for at in array.order))
    pairs = zip((*ones, *array.axes), wanted, strict=True)
    emitter.set(node, Array(value, tuple(broadcast(a, b) for a, b in pairs), order))


def _transpose(emitter: Emitter, node: onnx_ir.Node) -> None:
    array = emitter.array(node.inputs[0])
    order = attribute(node, "perm", tuple(reversed(range(len(array.axes)))))
    emitter.set(node, array.moved(order))


def _concat(emitter: Emitter, node: onnx_ir.Node) -> None:
    known = [emitter.known(value) for value in node.inputs]
    if all(part is not None for part in known):
        emitter.know(node, np.concatenate([np.atleast_1d(part) for part in known]))  # type: ignore[arg-type]
        return
    arrays = [emitter.array(value) for value in node.inputs]
    first = arrays[0]
    at = attribute(node, "axis", 0) % len(first.axes)
    order = next((a.order for a in arrays if a.value.place != "weights"), first.order)
    parts = [emitter.arrays.stored(array, order) for array in arrays]
    axes = list(first.axes)
    for array in arrays[1:]:
        axes[at] = plus(axes[at], array.axes[at])
    value = emitter.program.call(
        "concat",
        parts,
        [axes[i] for i in order],
        integers=(order.index(at),),
        dtype=first.value.dtype,
    )
    emitter.set(node, Array(value, tuple(axes), order))


def _slice(emitter: Emitter, node: onnx_ir.Node) -> None:
    known = emitter.known(node.inputs[0])
    starts, ends = sizes(emitter, node, 1), sizes(emitter, node, 2)
    given = len(node.inputs) > 3 and node.inputs[3] is not None
    places = numbers(emitter, node, 3) if given else list(range(len(starts)))
    stepped = len(node.inputs) > 4 and node.inputs[4] is not None
    steps = numbers(emitter, node, 4) if stepped else [1] * len(starts)
    if known is not None:
        if not isinstance(starts[0], int) or not isinstance(ends[0], int):
            raise LoweringError("it takes a number of sizes that depends on the inputs")
        emitter.know(node, known[slice(starts[0], ends[0], steps[0])])
        return
    array = emitter.array(node.inputs[0])
    for place, start, end, step in zip(places, starts, ends, steps, strict=True):
        array = _cut(emitter, array, place % len(array.axes), (start, end, step))
    emitter.set(node, array)


def _cut(emitter: Emitter, array: Array, at: int, cut: tuple[Any, Any, int]) -> Array:
    """Takes a part of an axis."""
    start, end, step = cut
    whole = array.axes[at]
    if isinstance(start, Axis) or step < 1:
        raise LoweringError("it begins at a place that depends on the inputs, or goes backwards")
    size = _length(emitter, whole, start, end)
    if step > 1:
        if size.symbols:
            raise LoweringError(f"every {step}th of {size} elements is no whole number")
        size = Axis(add=-(-size.add // step))
    if size == whole and step == 1:
        return array
    value = emitter.arrays.stored(array, array.order)
    stored = [size if i == at else array.axes[i] for i in array.order]
    integers = (array.order.index(at), start, step)
    part = emitter.program.call("slice", (value,), stored, integers=integers, dtype=value.dtype)
    axes = tuple(size if i == at else whole for i, whole in enumerate(array.axes))
    return Array(part, axes, array.order)


def _length(emitter: Emitter, whole: Axis, start: int, end: Any) -> Axis:
    """Returns how many elements lie between two places of an axis."""
    if isinstance(end, Axis):
        if whole.symbols or start < 0:
            if end == whole and start >= 0:
                return plus(whole, Axis(add=-start))
            raise LoweringError(f"a part of {whole} elements ends at {end}")
        emitter.limit(end, whole.add)
        return plus(end, Axis(add=-start))
    if not whole.symbols:
        return Axis(add=len(range(whole.add)[start:end]))
    if end >= _END:
        return Axis(add=-start) if start < 0 else plus(whole, Axis(add=-start))
    if end < 0 <= start:
        return plus(whole, Axis(add=end - start))
    if 0 <= start <= end or start <= end < 0:
        return Axis(add=end - start)
    raise LoweringError(f"{start} to {end} of {whole} elements may be none")


def _gather(emitter: Emitter, node: onnx_ir.Node) -> None:
    """Takes places of a list of sizes, or one place of an axis."""
    known, at = emitter.known(node.inputs[0]), emitter.known(node.inputs[1])
    if at is None:
        raise LoweringError("it takes places that depend on the inputs, of what is no layer")
    if known is not None:
        found = np.empty(at.shape, object)
        found[...] = known[at.astype(np.int64)]
        emitter.know(node, found)
        return
    if at.size != 1:
        raise LoweringError("it takes several places of an axis")
    array = emitter.array(node.inputs[0])
    axis_at = attribute(node, "axis", 0) % len(array.axes)
    place = int(at.reshape(-1)[0])
    end = place + 1 if place != -1 else _END
    part = _cut(emitter, array, axis_at, (place, end, 1))
    if at.ndim:
        emitter.set(node, part)
    else:
        dropped(emitter, node, part, {axis_at})


RULES: dict[str, Rule] = {
    "Shape": _shape,
    "Identity": _identity,
    "Cast": _cast,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Expand": _expand,
    "Transpose": _transpose,
    "Concat": _concat,
    "Slice": _slice,
    "Gather": _gather,
}
