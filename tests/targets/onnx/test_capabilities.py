"""Mirrors targets/onnx/capabilities.py."""

from __future__ import annotations

import pytest

from lamella.errors import LoweringError
from lamella.formats import parse
from lamella.targets.onnx.capabilities import form, support, table

ROWS = {(row.kind, row.format.id): row.support for row in table()}


def test_no_row_is_listed_twice() -> None:
    assert len(ROWS) == len(table())


def test_kernels_come_first() -> None:
    order = [row.support for row in table()]
    assert order == sorted(order, key=lambda entry: entry != "kernel")


@pytest.mark.parametrize(
    ("kind", "format_id", "expected"),
    [
        ("linear", "w4g32", "kernel"),
        ("linear", "w4g128z", "kernel"),
        ("linear", "w8g32", "size only"),
        ("linear", "w3g32", "kernel"),
        ("linear", "w5g32", "size only"),
        ("linear", "w4", "size only"),
        ("linear", "w8a8", "kernel"),
        ("linear", "w8a8d", "kernel"),
        ("linear", "w4g32a8d", "size only"),
        ("conv2d", "w4g32", "size only"),
        ("conv2d", "w8a8", "kernel"),
        ("conv2d", "w8za8", "size only"),
        ("depthwise2d", "w8a8", "kernel"),
        ("conv1d", "w8a8", "kernel"),
        ("embedding", "w4g32", "kernel"),
        ("embedding", "w3g32", "kernel"),
        ("embedding", "w5", "size only"),
        ("linear", "f16", "size only"),
        ("linear", "f32", "kernel"),
    ],
)
def test_the_table_says_how_a_format_runs(kind, format_id: str, expected: str) -> None:
    assert ROWS[kind, format_id] == expected


@pytest.mark.parametrize(
    ("kind", "format_id", "advice"),
    [
        ("embedding", "w8a8", "use w8"),
        ("conv2d", "w8a8d", "use w8a8"),
        ("embedding", "w4g32a8d", "use w4g32"),
    ],
)
def test_a_meaningless_activation_is_refused_with_advice(kind, format_id: str, advice: str) -> None:
    assert (kind, format_id) not in ROWS
    with pytest.raises(LoweringError, match=f"{advice}$"):
        form(kind, parse(format_id))


@pytest.mark.parametrize("format_id", ["w2g32", "w3g32", "w4g32", "w5g32", "w6g32", "w8g32"])
def test_level_four_has_kernels_for_all_widths(format_id: str) -> None:
    assert support("linear", parse(format_id), accuracy_level=4) == "kernel"
