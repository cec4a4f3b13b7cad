"""A small classifier of pictures as a program and as a file of the target native."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from one_call import opened

from lamella.artifact import Canary, Contents, save
from lamella.targets.native.program import Program, Symbol
from lamella.targets.native.writer import write

CLASSES = 7


def classifier() -> Program:
    """Pictures of 8 x 6 to scores, by one convolution and an average."""
    rng = np.random.default_rng(8)
    program = Program([Symbol("batch", 1, 4)])
    x = program.input("pixels", "float32", ("batch", 3, 8, 6))
    last = program.call("transpose", (x,), ("batch", 8, 6, 3), integers=(0, 2, 3, 1))
    weight = program.constant(rng.normal(size=(1, 1, 3, 3, 3, 8)).astype(np.float32))
    window = (3, 3, 1, 1, 1, 1, 1, 1, 1, 1)
    conv = program.call(
        "conv2d_f32",
        (last, weight, None),
        ("batch", 8, 6, CLASSES),
        integers=(1, *window),
        numbers=(0, np.inf),
    )
    whole = (0, 0, 1, 1, 1, 1, 0, 0, 0, 0)
    mean = program.call("pool2d", (conv,), ("batch", 1, 1, CLASSES), integers=(0, *whole))
    program.outputs["scores"] = program.view(mean, ("batch", CLASSES))
    return program


def pictures(batch: int, seed: int) -> Any:
    return np.random.default_rng(seed).normal(size=(batch, 3, 8, 6)).astype(np.float32)


def pack(path: Path, shift: float = 0.0, target: str = "native") -> None:
    """Writes the classifier as a file; a shift makes its canary wrong."""
    program = classifier()
    x = pictures(2, 0)
    y = opened(program).run({"pixels": x})["scores"] + np.float32(shift)
    manifest = {
        "lamella": "0.1.0",
        "target": target,
        "model": {"name": "toy"},
        "inputs": [{"name": "pixels", "dtype": "float32", "shape": ["batch", 3, 8, 6]}],
        "outputs": [{"name": "scores", "dtype": "float32", "shape": ["batch", CLASSES]}],
        "layers": [],
        "canary": {"max_abs_error": 0},
    }
    files = {"labels.txt": b"cat\ndog\n"}
    save(path, Contents(manifest, write(program), files, Canary({"pixels": x}, {"scores": y})))
