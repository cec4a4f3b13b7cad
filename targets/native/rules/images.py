"""Windows over images, and pools; images are stored with their channels last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir

from lamella.errors import LoweringError
from lamella.targets.native.arrays import CHANNELS_LAST, Array
from lamella.targets.native.emitter import Emitter, Rule
from lamella.targets.native.program import Axis
from lamella.targets.native.rules.shapes import attribute


@dataclass(frozen=True, slots=True)
class Walk:
    """How a kernel moves over an image: pairs of height and width; pads above, left, below, right.

    A kernel of (0, 0) is as large as the image.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def integers(self) -> tuple[int, ...]:
        """Returns the ten integers of a window in a program."""
        return (*self.kernel, *self.stride, *self.dilation, *self.pads)

    def over(self, sizes: Sequence[Axis]) -> tuple[Axis, Axis]:
        """Returns height and width of the output for those of the input."""
        height, width = (self._size(size, i) for i, size in enumerate(sizes))
        return height, width

    def _size(self, size: Axis, i: int) -> Axis:
        if self.kernel[i] == 0:
            return Axis(add=1)
        span = (self.kernel[i] - 1) * self.dilation[i] + 1
        extra = self.pads[i] + self.pads[i + 2] - span
        if self.stride[i] == 1:
            return Axis(size.add + extra + 1, size.mul, size.symbols)
        if size.symbols:
            raise LoweringError("a stride over an image whose size is known only at run time")
        return Axis(add=(size.add + extra) // self.stride[i] + 1)


WHOLE = Walk((0, 0))


def walk_of(node: onnx_ir.Node, kernel: Sequence[int]) -> Walk:
    """Returns the walk that the attributes of a node say.

    Raises:
        LoweringError: it is not over two axes, or its padding depends on the input.
    """
    if attribute(node, "auto_pad", "NOTSET") != "NOTSET" or attribute(node, "ceil_mode", 0):
        raise LoweringError("padding that follows from the input's size, or sizes rounded up")
    if len(kernel) != 2:
        raise LoweringError(f"a kernel of {len(kernel)} axes; the engine has those of 2")
    pairs = (tuple(attribute(node, name, (1, 1))) for name in ("strides", "dilations"))
    stride, dilation = pairs
    height, width = kernel
    pads = tuple(attribute(node, "pads", (0, 0, 0, 0)))
    return Walk((height, width), stride, dilation, pads)


def image(sizes: Sequence[Axis], walk: Walk, channels: Axis) -> tuple[Axis, ...]:
    """Returns the stored sizes of an output for the stored sizes of an input."""
    return (sizes[0], *walk.over(sizes[1:3]), channels)


def channels_last(value_axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """Returns the sizes that the graph sees of an image that is stored with channels last."""
    images, height, width, channels = value_axes
    return (images, channels, height, width)


def pooled(emitter: Emitter, array: Array, kind: int, walk: Walk) -> Array:
    """Pools an image: 0 is the average, 1 the average with padding, 2 the maximum."""
    value = emitter.arrays.stored(array, CHANNELS_LAST)
    axes = image(value.axes, walk, value.axes[3])
    result = emitter.program.call("pool2d", (value,), axes, integers=(kind, *walk.integers))
    return Array(result, channels_last(axes), CHANNELS_LAST)


def _pool(emitter: Emitter, node: onnx_ir.Node) -> None:
    array = emitter.array(node.inputs[0])
    walk = walk_of(node, attribute(node, "kernel_shape", ()))
    if len(node.outputs) > 1 and any(True for _ in node.outputs[1].uses()):
        raise LoweringError("the places of the largest elements")
    average = 1 if attribute(node, "count_include_pad", 0) and any(walk.pads) else 0
    kind = 2 if node.op_type == "MaxPool" else average
    emitter.set(node, pooled(emitter, array, kind, walk))


RULES: dict[str, Rule] = {"MaxPool": _pool, "AveragePool": _pool}
