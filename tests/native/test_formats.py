"""Mirrors native/base/formats.inc."""

from __future__ import annotations

from lamella import _native
from lamella.formats import GROUPS, WEIGHT_BITS


def test_the_table_in_cpp_equals_the_one_in_python() -> None:
    assert _native.formats() == {"weight_bits": WEIGHT_BITS, "groups": GROUPS}
