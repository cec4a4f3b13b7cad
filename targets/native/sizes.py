"""Arithmetic with sizes: numbers, and products of symbols that are known at run time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from lamella.errors import LoweringError
from lamella.targets.native.program import Axis

ONE = Axis(add=1)


def product(axes: Iterable[Axis]) -> Axis:
    """Returns the product of sizes.

    Raises:
        LoweringError: a symbol occurs twice, or a sum is multiplied by a symbol.
    """
    total = ONE
    for axis in axes:
        total = _times(total, axis)
    return total


def quotient(total: Axis, part: Axis) -> Axis:
    """Returns `total` / `part`, which divides it.

    Raises:
        LoweringError: it does not.
    """
    if not part.symbols and part.add > 0:
        if total.add % part.add == 0 and total.mul % part.add == 0:
            return Axis(total.add // part.add, total.mul // part.add, total.symbols)
    elif not total.add and not part.add and part.mul and total.mul % part.mul == 0:
        left = Counter(total.symbols)
        left.subtract(part.symbols)
        if min(left.values()) >= 0:
            symbols = tuple(sorted(left.elements()))
            factor = total.mul // part.mul
            return Axis(0, factor, symbols) if symbols else Axis(add=factor)
    raise LoweringError(f"a size of {total} cannot be divided by {part}")


def plus(a: Axis, b: Axis) -> Axis:
    """Returns the sum of two sizes, of which one is a number or both have the same symbols."""
    if a.symbols and b.symbols and a.symbols != b.symbols:
        raise LoweringError(f"a size of {a} + {b} has no form in a program")
    return Axis(a.add + b.add, a.mul + b.mul, a.symbols or b.symbols)


def broadcast(a: Axis, b: Axis) -> Axis:
    """Returns the size of an axis where two arrays meet as numpy broadcasts them.

    Raises:
        LoweringError: neither is 1 and they differ.
    """
    if a in (b, ONE):
        return b
    if b == ONE:
        return a
    raise LoweringError(f"axes of {a} and {b} elements do not fit each other")


def _times(a: Axis, b: Axis) -> Axis:
    if b.symbols and not a.symbols:
        a, b = b, a
    if not b.symbols:
        return Axis(a.add * b.add, a.mul * b.add, a.symbols) if b.add else Axis()
    if a.add or b.add or set(a.symbols) & set(b.symbols):
        raise LoweringError(f"a size of ({a}) * ({b}) has no form in a program")
    return Axis(0, a.mul * b.mul, tuple(sorted(a.symbols + b.symbols)))
