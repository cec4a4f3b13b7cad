"""Mirrors sdk/lamella/planner/work.py: counts by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lamella.frontend.layers import Convolution, Layer
from lamella.frontend.model import Model
from lamella.planner import work
from lamella.planner.machine import Machine
from lamella.planner.work import Work

MACHINE = Machine(
    single=100.0,
    double=50.0,
    elements=10.0,
    steps=5.0,
    forward_seconds=2.0,
    output_elements=7,
    scale=1.0,
    resident_bytes=0,
)


def convolution(make_layer: Callable[..., Layer], **changed: object) -> Layer:
    """A depthwise 3x3 convolution of 8 channels at 10000 positions."""
    shape = Convolution((3, 3), (1, 1), (1, 1), (1, 1), 8)
    fields = {"kind": "depthwise2d", "convolution": shape, "flops": 2 * 10_000 * 8 * 9}
    return make_layer("conv", 8, 9, **(fields | changed))


def test_seconds_are_each_sort_of_work_over_its_rate() -> None:
    assert Work(3, 200, 100, 20, 15, 0.5).on(MACHINE) == 3 * 2 + 2 + 2 + 2 + 3 + 0.5
    assert (Work(forwards=1) + Work(double=50)).times(4).on(MACHINE) == 4 * (2 + 1)


def test_positions_outputs_and_problems_follow_from_the_layer_table(
    make_layer: Callable[..., Layer],
) -> None:
    row = make_layer("a", 8, 4)
    assert (work.positions(row), work.outputs(row), work.problems(row)) == (16, 128, 1)
    depthwise = convolution(make_layer)
    assert (work.positions(depthwise), work.problems(depthwise)) == (10_000, 8)


def test_layers_that_read_one_tensor_share_a_moment(make_layer: Callable[..., Layer]) -> None:
    q, k = (make_layer(name, 8, 4, input_group="x") for name in "qk")
    other = make_layer("o", 8, 4)
    table = make_layer("e", 8, 4, kind="embedding", flops=0)
    assert work.moments((table, q, k, other)) == (q, other)
    wide = replace(convolution(make_layer), id="wide")
    assert wide.convolution
    dilated = replace(wide, convolution=replace(wide.convolution, dilation=(2, 2)))
    assert len(work.moments((wide, dilated))) == 2


def test_observing_is_one_run_its_moments_and_every_activation(
    make_layer: Callable[..., Layer],
) -> None:
    q, k = (make_layer(name, 8, 4, input_group="x") for name in "qk")
    found = work.observe((q, k), 3.0)
    rows = 16 * 3
    assert found.forwards == 1
    assert found.single == 2 * rows * 4 * 4
    assert found.elements == work.OBSERVE_VALUES * rows * (4 + 8 + 8)


def test_each_moment_is_handed_out_once(make_layer: Callable[..., Layer]) -> None:
    rows = (*(make_layer(name, 8, 4, input_group="x") for name in "qk"), convolution(make_layer))
    assert work.collect(rows).steps == work.COLLECT_VALUES * (4 * 4 + 8 * 9 * 9)


def test_a_convolution_gives_a_bounded_number_of_positions(
    make_layer: Callable[..., Layer],
) -> None:
    found = work.observe((convolution(make_layer),), 2.0)
    assert found.single == 2 * work.POSITIONS * 8 * 9 * 9
    touched = work.POSITIONS * 8 * 9 + 2 * 10_000 * 8
    assert found.elements == work.OBSERVE_IMAGE_VALUES * touched


def test_a_probe_skips_the_blocks_before_its_layer(model: Model) -> None:
    tries = {row.id: 2 for row in model.layers}
    spent = {row.id: row.flops + work.VALUE_FLOPS * work.outputs(row) for row in model.layers}
    total = sum(spent.values())
    expected = 1.0  # the token table is changed before everything
    for row in model.layers:
        if row.block is not None:
            later = [o for o in model.layers if o.block is None or o.block >= row.block]
            expected += sum(spent[o.id] for o in later) / total
    found = work.sense(model, tries, 5.0, 0, "rtn")
    assert found.forwards == pytest.approx(2 * 5 * expected + 5 + work.PREPARE_RUNS)


def test_a_layer_after_the_blocks_is_probed_without_them(
    make_layer: Callable[..., Layer], make_model: Callable[..., Model]
) -> None:
    rows = (make_layer("a", 8, 8, block=0), make_layer("b", 8, 8, block=1), make_layer("c", 8, 8))
    found = work.sense(make_model(rows), dict.fromkeys("abc", 1), 1.0, 0, "rtn")
    assert found.forwards == pytest.approx(1 + 2 / 3 + 1 / 3 + 1 + work.PREPARE_RUNS)


def test_probes_solve_each_owned_weight_once_per_format(model: Model) -> None:
    tries = {row.id: 1 for row in model.layers} | {"embed": 3}
    found = work.sense(model, tries, 0.0, 0, "rtn")
    weights = sum(row.rows * row.cols for row in model.layers if not row.tied_to)
    assert found.steps == work.ROUND_VALUES * (weights + 2 * 500 * 64)


def test_solving_by_rounding_touches_each_owned_weight(model: Model) -> None:
    weights = sum(row.rows * row.cols for row in model.layers if not row.tied_to)
    assert work.solve(model.layers, "rtn") == Work(steps=work.ROUND_VALUES * weights)
    assert work.restore(model.layers) == Work(steps=work.RESTORE_VALUES * weights)


def test_gptq_factorises_every_problem_of_a_layer(make_layer: Callable[..., Layer]) -> None:
    found = work.solve((convolution(make_layer),), "gptq")
    products = work.SWEEP_PRODUCTS * 8 * 9 * 9 + work.FACTOR_PRODUCTS * 8 * 9**3
    assert found.double == pytest.approx(products)
    assert found.steps == work.SWEEP_VALUES * 72
    assert found.seconds == work.COLUMN_SECONDS * 9
