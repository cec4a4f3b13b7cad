"""A small classifier of handwritten digits with true labels: a spec for `lamella optimize`.

The images are scikit-learn's digits (Alpaydin and Kaynak 1998, 8 x 8 pixels). The network is
trained in a few seconds whenever the spec is read; training, calibration and evaluation use
disjoint thirds of the set, and `evaluate` counts right answers instead of comparing with float.

    lamella optimize samples/vision/digits.py --target onnx --max-drop 0.01 -o out
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

NAME, LICENCE, METRIC = "digits", "Apache-2.0", "agreement"
STEPS, BATCH = 400, 64


@cache
def digits() -> tuple[Tensor, Tensor]:
    """Returns (1797, 1, 8, 8) images in [0, 1] and (1797,) labels, in a fixed random order."""
    found = load_digits()
    order = torch.randperm(len(found.target), generator=torch.Generator().manual_seed(0))
    images = torch.tensor(found.images, dtype=torch.float32)[:, None] / 16
    return images[order], torch.tensor(found.target)[order]


def network() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Conv2d(32, 32, 3, padding=1, groups=32, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Conv2d(32, 64, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(1024, 64), nn.ReLU(), nn.Linear(64, 10)),
    )


@cache
def model() -> nn.Module:
    images, labels = (part[:600] for part in digits())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = network()
    # On one thread the sums, and with them the weights, are the same in every run; for layers as
    # small as these it is also the fastest.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        chosen = torch.randint(len(labels), (BATCH,), generator=generator)
        loss = nn.functional.cross_entropy(net(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.set_num_threads(threads)
    return net.eval()


def example_inputs() -> Tensor:
    return digits()[0][:1]


def calibration() -> list[Tensor]:
    return list(digits()[0][600:1200].split(100))


def evaluation() -> list[Tensor]:
    return list(digits()[0][1200:].split(100))


def evaluate(predict: Callable[[dict[str, Tensor]], Tensor]) -> float:
    """Returns the share of right answers on the evaluation part."""
    images, labels = (part[1200:] for part in digits())
    answers = [predict({"input": part}).argmax(-1) for part in images.split(100)]
    return float((torch.cat(answers) == labels).float().mean())
