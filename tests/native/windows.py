"""Windows for the tests of operations on images, in the two forms that they need."""

from __future__ import annotations

from native.reference_layers import Axis
from native.reference_static import Layer, Window

from lamella import _native

# Pairs of axes: strides, dilation and padding on one side, on both, and wider than the kernel.
WINDOWS = (
    (Axis(1), Axis(1)),
    (Axis(3, 1, 1, 1), Axis(3, 1, 1, 1)),
    (Axis(3, 2, 1, 0), Axis(3, 2, 0, 1)),
    (Axis(2, 2), Axis(5, 3, 2, 2)),
    (Axis(3, 1, 2, 2, 2), Axis(2, 1, 3, 0, 3)),
    (Axis(4, 1, 3, 3), Axis(4, 3, 1, 0)),
)


def window(down: Axis, across: Axis) -> _native.Window:
    """Returns what the kernels take."""
    return _native.Window(
        (down.kernel, across.kernel),
        (down.stride, across.stride),
        (down.before, across.before, down.after, across.after),
        (down.dilation, across.dilation),
    )


def window_of(layer: Layer, moves: Window) -> _native.Window:
    """Returns the same for the kernel of a layer on codes."""
    _, height, width, _ = layer.codes.shape
    return _native.Window((height, width), moves.stride, moves.padding, moves.dilation)
