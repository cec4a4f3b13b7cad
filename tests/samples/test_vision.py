"""The CNN with its ImageNet weights, and the classifier of digits."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image


def test_the_weights_fit_the_module_exactly_and_know_a_cat(efficientnet: Any) -> None:
    net = efficientnet.model().eval()
    # 4.65 million parameters, as in the paper's table of the Lite models.
    assert sum(tensor.numel() for tensor in net.parameters()) == 4_652_008
    crops = efficientnet.crops(11, seed=3, left=False)
    with torch.inference_mode():
        logits = net(crops)
    assert logits.shape == (11, 1000)
    # chelsea.png is the second photograph; 281 to 285 are the cats of ImageNet.
    assert 281 <= int(logits[1].argmax()) <= 285


def test_crops_of_one_side_never_see_the_other(
    efficientnet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    width, height = 1000, 500
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : int(width * efficientnet.SPLIT)] = 255
    photo = Image.fromarray(pixels)
    monkeypatch.setattr(efficientnet.Image, "open", lambda path: photo)
    assert float(efficientnet.crops(40, seed=0, left=True).min()) == 1.0
    assert float(efficientnet.crops(40, seed=0, left=False).max()) == -127 / 128


def test_digits_are_learned_in_seconds_and_the_same_way_each_time(digits: Any) -> None:
    start = time.process_time()
    net = digits.model()
    assert time.process_time() - start < 60
    # Training, calibration and evaluation are thirds without a common image.
    images = digits.digits()[0]
    assert len({image.numpy().tobytes() for image in images}) == len(images)
    right = digits.evaluate(lambda batch: net(batch["input"]))
    assert right > 0.95
    weights = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    digits.model.cache_clear()
    again = digits.model().state_dict()
    assert all(torch.equal(weights[name], again[name]) for name in weights)


def test_the_score_of_the_digits_counts_right_answers(digits: Any) -> None:
    labels = digits.digits()[1][1200:]
    share = float((labels == 3).float().mean())
    always_three = torch.nn.functional.one_hot(torch.tensor(3), 10)
    found = digits.evaluate(lambda batch: always_three.expand(len(batch["input"]), 10))
    assert found == pytest.approx(share)
