"""The convolutions of two networks, as small tables."""

from __future__ import annotations

from dataclasses import dataclass

# EfficientNet-Lite0, Tan and Le 2019, arXiv:1905.11946, table 1 without squeeze-and-excitation.
# Per stage: blocks, kernel, stride of the first block, expansion, channels out.
EFFICIENTNET = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# ResNet-18, He et al. 2015, arXiv:1512.03385, table 1: channels of the stages, two blocks each.
RESNET = (64, 128, 256, 512)


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution on a square image with a square kernel, padded so that size / stride remains.

    `size` is that of the input. It reads what the layer `source` places before it gives.
    """

    size: int
    inputs: int
    outputs: int
    kernel: int
    stride: int
    depthwise: bool = False
    source: int = 1

    @property
    def after(self) -> int:
        """Returns the size of the output."""
        return -(-self.size // self.stride)

    @property
    def padding(self) -> tuple[int, int]:
        """Returns what is added above and left, and below and right."""
        both = max((self.after - 1) * self.stride + self.kernel - self.size, 0)
        return both // 2, both - both // 2

    @property
    def products(self) -> int:
        """Returns how many multiplications it takes."""
        inputs = 1 if self.depthwise else self.inputs
        return self.after**2 * self.outputs * inputs * self.kernel**2

    def __str__(self) -> str:
        """Returns the shape of `--shape`."""
        sizes = [self.size, self.inputs, self.outputs, self.kernel, self.stride]
        return "x".join(map(str, sizes[:1] + sizes[2:] if self.depthwise else sizes))


def efficientnet_lite0() -> list[Layer]:
    """Returns stem, blocks of expansion, depthwise window and projection, and head."""
    layers = [Layer(224, 3, 32, 3, 2)]
    for blocks, kernel, first, expansion, outputs in EFFICIENTNET:
        for stride in (first, *[1] * (blocks - 1)):
            size, inputs = layers[-1].after, layers[-1].outputs
            wide = inputs * expansion
            if expansion > 1:
                layers.append(Layer(size, inputs, wide, 1, 1))
            layers.append(Layer(size, wide, wide, kernel, stride, depthwise=True))
            layers.append(Layer(layers[-1].after, wide, outputs, 1, 1))
    return [*layers, Layer(layers[-1].after, layers[-1].outputs, 1280, 1, 1)]


def resnet18() -> list[Layer]:
    """Returns the stem, after which a pool halves the image, and the blocks of 3 x 3 windows.

    The first block of a stage but the first has a 1 x 1 layer beside its two others.
    """
    layers = [Layer(224, 3, 64, 7, 2)]
    size, inputs = 56, RESNET[0]
    for outputs in RESNET:
        stride = outputs // inputs
        layers.append(Layer(size, inputs, outputs, 3, stride))
        layers.append(Layer(size // stride, outputs, outputs, 3, 1))
        if stride > 1:
            layers.append(Layer(size, inputs, outputs, 1, stride, source=3))
        size, inputs = size // stride, outputs
        layers.append(Layer(size, outputs, outputs, 3, 1, source=stride))
        layers.append(Layer(size, outputs, outputs, 3, 1))
    return layers


NETWORKS = {"efficientnet_lite0": efficientnet_lite0, "resnet18": resnet18}


def different_layers(depthwise: bool) -> list[Layer]:
    """Returns every shape of both networks once, in their order."""
    layers = [layer for network in NETWORKS.values() for layer in network()]
    return list({str(layer): layer for layer in layers if layer.depthwise == depthwise}.values())
