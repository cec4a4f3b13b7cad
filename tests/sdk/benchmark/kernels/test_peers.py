"""Mirrors peers.py and peers_images.py of lamella.benchmark.kernels: they compute what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lamella import _native
from lamella.benchmark.kernels import peers, peers_images
from lamella.benchmark.kernels.networks import Layer

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("bits", peers.NBITS)
def test_matmul_nbits_multiplies_every_weight_once(bits: int) -> None:
    x = RNG.standard_normal((2, 64), np.float32)
    codes = [RNG.integers(0, 256, (24, 4, 2 * bits), dtype=np.uint8) for _ in range(3)]
    call = peers.matmul_nbits(x, codes, bits, 16, threads=2)
    assert call.count == 3
    found: Any = call.run()
    for y, packed in zip(found, codes, strict=True):
        digits = np.unpackbits(packed.reshape(24, -1), axis=1, bitorder="little")
        values = digits.reshape(24, 64, bits) @ (1 << np.arange(bits))
        expected = x @ (0.01 * (values - (1 << bits - 1))).T
        np.testing.assert_allclose(y, expected, atol=0.03 * np.abs(expected).max())


def test_torch_multiplies_another_weight_each_time() -> None:
    x = RNG.standard_normal((2, 8), np.float32)
    weights = list(RNG.standard_normal((2, 5, 8), np.float32))
    call = peers.torch_linear(x, weights, threads=1)
    for weight in [*weights, *weights]:
        found: Any = call.run()
        np.testing.assert_allclose(found.numpy(), x @ weight.T, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_torch_attention_shares_heads_and_sees_the_past(causal: bool) -> None:
    query = RNG.standard_normal((4, 3, 8), np.float32)
    keys, values = RNG.standard_normal((2, 2, 3, 8), np.float32)
    found: Any = peers.torch_attention(query, [(keys, values)], causal, threads=1).run()
    score = query @ keys.repeat(2, 0).transpose(0, 2, 1) / np.sqrt(8)
    if causal:
        score = np.where(np.tri(3, dtype=bool), score, -np.inf)
    weight = np.exp(score)
    expected = weight / weight.sum(2, keepdims=True) @ values.repeat(2, 0)
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-4, atol=1e-5)


def test_torch_chooses_tokens() -> None:
    logits = np.zeros(50, np.float32)
    logits[7] = 1000
    assert peers.torch_argmax(logits, threads=1).run() == 7
    assert peers.torch_sample(logits, threads=1).run() == 7


def test_convolutions_read_from_each_other_and_those_that_nobody_reads_are_given() -> None:
    layers = [Layer(16, 3, 8, 3, 2), Layer(4, 8, 8, 5, 1, depthwise=True)]
    layers += [Layer(4, 8, 4, 1, 2, source=2)]  # a pool halves what the first layer gives
    wide: Any = peers_images.float_convolutions(layers, 1, threads=1).run()
    assert [y.shape for y in wide] == [(1, 8, 4, 4), (1, 4, 2, 2)]
    assert all(np.isfinite(y).all() for y in wide)
    codes: Any = peers_images.integer_convolutions(layers, 1, threads=1).run()
    assert [(y.shape, y.dtype) for y in codes] == [((1, 4, 4, 8), "u1"), ((1, 2, 2, 4), "u1")]


def test_a_node_does_what_its_kernel_does() -> None:
    x = RNG.standard_normal((5, 7), np.float32)
    scale, zero = np.array([0.02], np.float32), np.array([128], np.uint8)
    constants = {"s": scale.reshape(()), "z": zero.reshape(())}
    kernel = _native.quantize_kernel()
    codes = kernel.quantize(x, scale, zero)
    for kind, given, expected in (
        ("QuantizeLinear", x, codes),
        ("DequantizeLinear", codes, kernel.dequantize(codes, scale, zero)),
        ("Transpose", x, x.T),
    ):
        call = peers.node(kind, given, {} if kind == "Transpose" else constants, threads=1)
        found: Any = call.run()
        assert len(found) == call.count
        np.testing.assert_array_equal(found[-1], expected)
