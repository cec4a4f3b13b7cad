"""Mirrors sdk/lamella/planner/cost.py: every byte by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lamella import formats
from lamella.frontend.layers import Layer
from lamella.frontend.model import Model
from lamella.planner import cost


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ("f32", 10 * 40 * 4),
        ("f16", 10 * 40 * 2),
        ("w8", 10 * (40 + 4)),
        ("w4g32", 10 * (20 + 2 * 2)),
        ("w3g16z", 10 * (15 + 3 * 2 + 2)),
    ],
)
def test_layer_bytes_are_codes_scales_zeros_and_bias(
    make_layer: Callable[..., Layer], format: str, expected: int
) -> None:
    row = make_layer("a", 10, 40)
    assert cost.layer_bytes(row, formats.parse(format)) == expected
    biased = make_layer("a", 10, 40, has_bias=True)
    assert cost.layer_bytes(biased, formats.parse(format)) == expected + 40
    assert cost.layer_bits(biased, formats.parse(format)) == 8 * expected / 400


def test_a_tied_weight_costs_only_its_bias(make_layer: Callable[..., Layer]) -> None:
    tied = make_layer("head", 10, 40, tied_to="embed", has_bias=True)
    assert cost.layer_bytes(tied, formats.parse("w8")) == 40


def test_the_overhead_is_everything_outside_of_the_table(
    make_layer: Callable[..., Layer], make_model: Callable[..., Model]
) -> None:
    rows = (make_layer("a", 4, 8, has_bias=True), make_layer("b", 4, 8, tied_to="a"))
    model = make_model(rows, outside=7, operators=3)
    model.attachments["tokenizer.json"] = b"x" * 50
    found = cost.overhead(model)
    assert (found.parameters, found.operators, found.attachments) == (28, 750, 50)
    assert found.total == 828


def test_operations_count_operand_widths_only_where_there_is_a_kernel(
    make_layer: Callable[..., Layer],
) -> None:
    row = make_layer("a", 4, 8, flops=1024)
    assert cost.bit_operations(row, formats.parse("f32"), None) == 1024
    assert cost.bit_operations(row, formats.parse("w8a8"), "kernel") == 1024 / 4 / 4
    assert cost.bit_operations(row, formats.parse("w4g32"), "kernel") == 1024 / 8
    assert cost.bit_operations(row, formats.parse("w4g32"), "size only") == 1024


def test_the_integer_share_weighs_layers_by_flops(make_layer: Callable[..., Layer]) -> None:
    rows = (make_layer("a", 4, 8, flops=300), make_layer("b", 4, 8, flops=100))
    assert cost.integer_share(rows, {"a"}) == 0.75
    assert cost.integer_share((), ()) == 0.0
    assert cost.is_integer(formats.parse("w8a8d"), "kernel")
    assert not cost.is_integer(formats.parse("w4g32a8"), "size only")
    assert not cost.is_integer(formats.parse("w4g32"), "kernel")
