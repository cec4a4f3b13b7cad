"""The inputs of a convolution as rows of a matrix (im2col), all of them or chosen ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lamella.frontend.layers import Convolution, Kind

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Window:
    """How a convolution walks over (height, width); one-dimensional ones have height 1."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int

    @property
    def id(self) -> str:
        """Returns a text that is equal for windows that read the same patches."""
        numbers = (*self.kernel, *self.stride, *self.padding, *self.dilation, self.groups)
        return ",".join(map(str, numbers))

    def positions(self, size: torch.Size) -> tuple[int, int, int]:
        """Returns (batch, output height, output width) for a (batch, channels, h, w) input."""
        walks = zip(size[2:], self.kernel, self.stride, self.padding, self.dilation, strict=True)
        height, width = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in walks)
        return size[0], height, width


def window(convolution: Convolution) -> Window:
    """Widens the geometry of a layer to two axes."""
    return Window(
        _pair(convolution.kernel, 1),
        _pair(convolution.stride, 1),
        _pair(convolution.padding, 0),
        _pair(convolution.dilation, 1),
        convolution.groups,
    )


def images(tensor: Tensor, kind: Kind) -> Tensor:
    """Returns a convolution's input or output as (batch, channels, height, width)."""
    if kind == "conv1d":
        tensor = tensor.unsqueeze(-2)
    return tensor if tensor.dim() == 4 else tensor.unsqueeze(0)


def gather(pixels: Tensor, window: Window, chosen: Tensor | None = None) -> Tensor:
    """Returns the patches that outputs are computed from.

    Args:
        pixels: (batch, channels, height, width).
        window: the walk.
        chosen: (rows,) indices into the batch * output height * output width positions, in that
            order; None takes them all.

    Returns:
        (rows, groups, channels / groups * kernel height * kernel width), columns in the order of
        `weight.reshape(out_channels, -1)`.
    """
    batch, height, width = window.positions(pixels.shape)
    down, right = window.padding
    padded = F.pad(pixels, (right, right, down, down))
    tall, wide = padded.shape[2:]
    flat = padded.permute(0, 2, 3, 1).reshape(batch * tall * wide, -1)
    if chosen is None:
        chosen = torch.arange(batch * height * width)
    image, place = chosen // (height * width), chosen % (height * width)
    top = image * tall + place // width * window.stride[0]
    left = place % width * window.stride[1]
    y = torch.arange(window.kernel[0]) * window.dilation[0]
    x = torch.arange(window.kernel[1]) * window.dilation[1]
    corner = (top * wide + left)[:, None, None]
    index = corner + y[None, :, None] * wide + x[None, None, :]
    found = flat[index.reshape(len(chosen), -1)]
    return found.transpose(1, 2).reshape(len(chosen), window.groups, -1)


def _pair(sizes: tuple[int, ...], missing: int) -> Pair:
    return (sizes[0], sizes[1]) if len(sizes) == 2 else (missing, sizes[0])
