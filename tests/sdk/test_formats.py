"""Mirrors sdk/lamella/formats.py."""

from __future__ import annotations

import itertools

import pytest

from lamella.errors import PlanError
from lamella.formats import ALIASES, F16, F32, GROUPS, WEIGHT_BITS, Format, Sparsity, parse

INTEGER = [
    Format(bits, group, symmetric, activation, sparsity)
    for bits, group, symmetric, activation, sparsity in itertools.product(
        WEIGHT_BITS,
        (0, *GROUPS),
        (True, False),
        ("float", "static", "dynamic"),
        (None, Sparsity(0.5, 2, 4), Sparsity(0.875, 1, 8), Sparsity(0.5), Sparsity(0.375)),
    )
]
FLOATING = [
    Format(bits, sparsity=sparsity)
    for bits in (16, 32)
    for sparsity in (None, Sparsity(0.5, 2, 4), Sparsity(0.9))
]


def test_every_format_comes_back_from_its_id_and_no_two_share_one() -> None:
    formats = INTEGER + FLOATING
    assert [parse(format.id) for format in formats] == formats
    assert len({format.id for format in formats}) == len(formats)


@pytest.mark.parametrize(
    ("format", "name"),
    [
        (F32, "f32"),
        (F16, "f16"),
        (Format(4, 32), "w4g32"),
        (Format(4, 32, symmetric=False), "w4g32z"),
        (Format(8, activation="static"), "w8a8"),
        (Format(8, activation="dynamic"), "w8a8d"),
        (Format(4, 32, activation="dynamic", sparsity=Sparsity(0.5, 2, 4)), "w4g32a8d@2:4"),
        (Format(8, sparsity=Sparsity(0.5)), "w8@50"),
        (Format(16, sparsity=Sparsity(0.125)), "f16@12.5"),
    ],
    ids=str,
)
def test_ids_are_spelled_as_documented(format: Format, name: str) -> None:
    assert format.id == name


@pytest.mark.parametrize("percent", [f"{tenths / 10:g}" for tenths in range(1, 1000, 7)])
def test_every_percentage_comes_back_from_its_id(percent: str) -> None:
    assert parse(f"w8@{percent}").id == f"w8@{percent}"


def test_the_finest_percentage_comes_back_from_its_id() -> None:
    assert parse("w8@33.3333").id == "w8@33.3333"
    assert parse(parse("w8@0.0001").id) == parse("w8@0.0001")


@pytest.mark.parametrize("alias", sorted(ALIASES))
def test_every_alias_means_a_canonical_id(alias: str) -> None:
    assert parse(alias).id == ALIASES[alias]
    assert parse(f" {alias.lower()} ") == parse(alias)


def test_ids_may_be_upper_case() -> None:
    assert parse("W4G32Z@2:4") == Format(4, 32, symmetric=False, sparsity=Sparsity(0.5, 2, 4))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "unknown format ''"),
        ("w4g32 z", "unknown format 'w4g32 z'"),
        ("int4", "unknown format 'int4'"),
        ("w4zg32", "unknown format 'w4zg32'"),
        ("w4a4", "unknown format 'w4a4'"),
        ("f16g32", "unknown format 'f16g32'"),
        ("w4@", "unknown format 'w4@'"),
        ("w4@33.33333", "unknown format 'w4@33.33333'"),
        ("w-4", "unknown format 'w-4'"),
        ("w\N{ARABIC-INDIC DIGIT FOUR}", "unknown format"),
        ("w" + "9" * 5000, "unknown format"),
        ("w7", "'w7': weights of 7 bits"),
        ("w0", "'w0': weights of 0 bits"),
        ("w16", "'w16': weights of 16 bits"),
        ("w4g0", "'w4g0': groups of 0"),
        ("w4g48", "'w4g48': groups of 48"),
        ("w4@0:4", "'w4@0:4': 0:4 must keep some"),
        ("w4@4:4", "'w4@4:4': 4:4 must keep some"),
        ("w4@8:64", "'w4@8:64': 8:64 must keep some"),
        ("w4@0", "'w4@0': a sparsity of 0 %"),
        ("f16@100", "'f16@100': a sparsity of 100 %"),
    ],
)
def test_a_malformed_id_is_refused_with_its_text(text: str, reason: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse(text)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("f32", (3, 5), 60),
        ("f16", (3, 5), 30),
        # 5 codes of 4 bits take 3 bytes a row; one float32 scale a row.
        ("w4", (3, 5), 3 * (3 + 4)),
        # The zero point of a row takes a byte of its own.
        ("w4z", (3, 5), 3 * (3 + 4 + 1)),
        # 70 columns: 35 bytes of codes, 3 float16 scales, 3 zero points of 4 bits.
        ("w4g32", (2, 70), 2 * (35 + 6)),
        ("w4g32z", (2, 70), 2 * (35 + 6 + 2)),
        ("w3g16z", (1, 40), 15 + 6 + 2),
        ("w8a8d", (2, 7), 2 * (7 + 4)),
        # Bitmap 2 * 2, then 16 kept codes of 4 bits, then scales.
        ("w4@2:4", (2, 16), 4 + 8 + 8),
        # Codes alone are 2 * 4 bytes, bitmap and kept codes as many: nothing is saved.
        ("w2@2:4", (2, 16), 8 + 8),
        ("f16@2:4", (2, 16), 4 + 32),
        ("w8@75", (1, 16), 2 + 4 + 4),
    ],
)
def test_every_byte_is_counted(name: str, shape: tuple[int, int], expected: int) -> None:
    assert parse(name).nbytes(*shape) == expected


def test_the_real_count_of_kept_weights_replaces_the_promised_one() -> None:
    format = parse("w8@50")
    assert format.nbytes(4, 16) == format.nbytes(4, 16, 32) == 8 + 32 + 16
    assert format.nbytes(4, 16, 0) == 8 + 16
    assert format.nbytes(4, 16, 60) == format.dense.nbytes(4, 16) == 64 + 16


def test_dense_drops_only_the_mask() -> None:
    assert parse("w4g32za8d@2:4").dense == parse("w4g32za8d")
    assert parse("f16@50").dense == F16


@pytest.mark.parametrize(("cols", "groups"), [(1, 1), (31, 1), (32, 1), (33, 2), (64, 2)])
def test_the_last_group_may_be_short(cols: int, groups: int) -> None:
    assert parse("w4g32").groups(cols) == groups
    assert parse("w4").groups(cols) == 1
