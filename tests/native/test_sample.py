"""Mirrors native/kernels/sample: every row of kernels.inc draws the tokens of the contract."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native.reference_float import Float, draw
from native.reference_sample import Options
from native.rows import each_kernel, kernels_here

from lamella import _native
from native import reference_sample as reference

# Around the 16 logits that a kernel takes together.
COUNTS = (1, 2, 15, 16, 17, 31, 33, 100, 1000)
CUTS = (Options(1.0), Options(0.7, 5), Options(1.3, 0, 0.9), Options(0.9, 40, 0.5))
HERE = kernels_here(_native.sample_kernels())

kernel = each_kernel(_native.sample_kernels())


def run(kernel: _native.SampleKernel, logits: Float, options: Options) -> int:
    return kernel.sample(logits, _native.Sampling(*astuple(options)))


def counted(kernel: _native.SampleKernel, logits: Float, options: Options, draws: int) -> Float:
    tokens = [run(kernel, logits, replace(options, step=step)) for step in range(draws)]
    return np.bincount(tokens, minlength=len(logits))


@pytest.mark.parametrize("count", COUNTS)
def test_draws_the_token_of_the_contract(kernel: _native.SampleKernel, count: int) -> None:
    for step in range(30):
        logits = draw(count + step, count, scale=(0.1, 2.0, 20.0)[step % 3])
        for options in CUTS:
            chosen = replace(options, seed=count, step=step)
            assert run(kernel, logits, chosen) == reference.token(logits, chosen)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    st.sampled_from(HERE),
    st.lists(st.sampled_from([-np.inf, -3.0, -0.0, 0.0, 0.5, 0.5000001, 2.0, 1e30]), min_size=1),
    st.builds(
        Options,
        st.sampled_from([1e-30, 0.1, 1.0, 50.0, 1e30]),
        st.integers(0, 6),
        st.sampled_from([1e-12, 0.2, 0.5, 0.999, 1.0]),
        st.integers(0, 2**63 - 1),
        st.integers(0, 2**63 - 1),
    ),
)
def test_ties_and_extremes_draw_the_token_of_the_contract(
    kernel: _native.SampleKernel, values: list[float], options: Options
) -> None:
    logits = np.array([*values, 0.25], np.float32)
    assert run(kernel, logits, options) == reference.token(logits, options)


def test_the_generator_is_splitmix64(kernel: _native.SampleKernel) -> None:
    # The first numbers of the published generator for the seed 1234567.
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [reference.splitmix(1234567, step) for step in range(3)] == published
    # With 256 equal logits, the token is the highest byte of the number.
    logits = np.zeros(256, np.float32)
    tokens = [run(kernel, logits, Options(1.0, seed=1234567, step=step)) for step in range(3)]
    assert tokens == [number >> 56 for number in published]


@pytest.mark.parametrize("options", [*CUTS, Options(0.2), Options(5.0, 3, 0.99)], ids=str)
def test_the_distribution_is_that_of_float64(
    kernel: _native.SampleKernel, options: Options
) -> None:
    logits, draws = draw(8, 12, scale=1.5), 8000
    expected = reference.probabilities(logits, options)
    seen = counted(kernel, logits, replace(options, seed=3), draws)
    assert (seen[expected == 0] == 0).all(), "what was cut off is never drawn"
    # Rare tokens are one class, so that each class expects enough.
    rare = expected * draws < 10
    classes = [*np.flatnonzero(~rare)]
    wanted = np.array([*expected[classes], expected[rare].sum()]) * draws
    given = np.array([*seen[classes], seen[rare].sum()])
    possible = wanted > 0
    statistic = ((given - wanted)[possible] ** 2 / wanted[possible]).sum()
    freedom = int(possible.sum()) - 1
    # Wilson and Hilferty 1931: a cube of a normal number; 4 deviations are 3 in 100,000.
    cube = 1 - 2 / (9 * freedom) + 4 * np.sqrt(2 / (9 * freedom)) if freedom else 1.0
    assert statistic <= max(freedom, 1) * cube**3


def test_the_weights_are_those_of_float64() -> None:
    # The kernel draws what the contract says; this bounds how far the contract is from softmax.
    logits = draw(5, 500, scale=4.0)
    power = reference.exp(logits - logits.max())
    weight = np.floor(np.ldexp(power.astype(np.float64), 40))
    exact = reference.probabilities(logits, Options(1.0))
    distance = logits.max() - logits.astype(np.float64)
    # The rounded difference, 1.01 places of exp, and what is cut off below 2^-40 of the greatest.
    error = (distance + 2.1) * 2.0**-24
    error = exact * (error + error.max()) + 2.0**-40
    assert (np.abs(weight / weight.sum() - exact) <= 1.01 * error).all()


@pytest.mark.parametrize("count", COUNTS)
def test_degenerate_options_are_argmax(kernel: _native.SampleKernel, count: int) -> None:
    logits = draw(count, count)
    best = int(logits.argmax())
    for options in (Options(0.0), Options(1.0, 1), Options(3.0, 0, 1e-9), Options(1e-30)):
        for step in range(5):
            assert run(kernel, logits, replace(options, step=step)) == best
    assert kernel.argmax(logits) == best


def test_ties_go_to_the_lower_id(kernel: _native.SampleKernel) -> None:
    logits = np.array([0, 3, -0.0, 3, 3, -np.inf], np.float32)
    assert kernel.argmax(logits) == 1
    for step in range(20):
        assert run(kernel, logits, Options(1.0, 1, step=step)) == 1
        assert run(kernel, logits, Options(1.0, 2, step=step)) in (1, 3)
        assert run(kernel, logits, Options(1.0, 0, 0.6, step=step)) in (1, 3)
    assert kernel.argmax(np.array([-0.0, 0.0], np.float32)) == 0


@pytest.mark.parametrize("count", [1, 15, 16, 17, 32, 33, 100])
def test_argmax_finds_every_place_and_the_first_of_two(
    kernel: _native.SampleKernel, count: int
) -> None:
    for place in range(count):
        logits = np.full(count, -np.inf, np.float32)
        logits[place] = -3e38
        assert kernel.argmax(logits) == place
        logits = np.minimum(draw(place, count), np.float32(5))
        logits[place:] = np.where(np.arange(count - place) % 7, logits[place:], np.float32(5))
        assert kernel.argmax(logits) == logits.argmax()


def test_a_token_of_minus_infinity_is_never_drawn(kernel: _native.SampleKernel) -> None:
    logits = np.full(40, -np.inf, np.float32)
    logits[[7, 21]] = 0.0, -1e30
    assert counted(kernel, logits, Options(2.0), 50)[7] == 50


def test_a_whole_vocabulary_draws_the_token_of_the_contract(kernel: _native.SampleKernel) -> None:
    logits = draw(1, 49152, scale=3.0)
    for step, options in enumerate((*CUTS, Options(100.0, 0, 0.999))):
        chosen = replace(options, step=step, seed=9)
        assert run(kernel, logits, chosen) == reference.token(logits, chosen)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_without_an_answer_are_refused(kernel: _native.SampleKernel, value: float) -> None:
    for count in (1, 16, 33, 64):
        logits = draw(count, count)
        logits[-1 - count // 3] = value
        with pytest.raises(ValueError, match=f"no token can be chosen: of the {count} logits"):
            kernel.argmax(logits)
        for options in (Options(0.0), Options(1.0, 3)):
            with pytest.raises(ValueError, match=f"no token can be chosen: of the {count} logits"):
                run(kernel, logits, options)
    with pytest.raises(ValueError, match="none is finite"):
        run(kernel, np.full(20, -np.inf, np.float32), Options(1.0))
    with pytest.raises(ValueError, match="of the 0 logits"):
        kernel.argmax(np.zeros(0, np.float32))


def test_wrong_arguments_are_refused(kernel: _native.SampleKernel) -> None:
    for options, sentence in (
        (Options(-1.0), "temperature must be finite and 0 or more, not -1"),
        (Options(np.inf), "temperature must be finite and 0 or more, not inf"),
        (Options(1.0, -1), "top_k must be at least 0, not -1"),
        (Options(1.0, 0, 0.0), "top_p must be above 0 and at most 1, not 0"),
        (Options(1.0, 0, 1.5), "top_p must be above 0 and at most 1, not 1.5"),
        (Options(1.0, seed=-1), "seed must be at least 0, not -1"),
        (Options(1.0, step=-1), "step must be at least 0, not -1"),
    ):
        with pytest.raises(ValueError, match=sentence):
            run(kernel, np.zeros(3, np.float32), options)
    with pytest.raises(ValueError, match="logits must be float32, not float64"):
        kernel.sample(np.zeros(3), _native.Sampling())
    with pytest.raises(ValueError, match="logits must have 1 dimensions, but its shape"):
        kernel.argmax(np.zeros((1, 3), np.float32))
