"""Mirrors calibration/sensitivity.py."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from scipy.stats import spearmanr

from lamella.calibration.sensitivity import Sensitivity, SensitivityRow
from lamella.errors import CalibrationError

LOSSES = {"w4": [0.3, 0.1, 0.2, 0.9], "w8": [0.01, 0.03, 0.02, 0.05], "f16": [0.0, 0.0, 0.0, 0.0]}
PROXIES = {"w4": [3.0, 1.0, 4.0, 5.0], "w8": [0.5, 0.4, 0.1, 0.6], "f16": [0.1, 0.2, 0.3, 0.4]}
TABLE = Sensitivity(
    "kl",
    tuple(
        SensitivityRow(f"layer{i}", name, LOSSES[name][i], PROXIES[name][i], 30.0)
        for i in range(4)
        for name in LOSSES
    ),
)


def test_a_loss_is_found_by_layer_and_format() -> None:
    assert TABLE.loss("layer2", "w4") == 0.2
    with pytest.raises(CalibrationError, match="loss of layer layer2 in format w3 was not"):
        TABLE.loss("layer2", "w3")


def test_rank_correlation_is_spearmans_per_format_and_over_all() -> None:
    found = TABLE.rank_correlation()
    for name in ("w4", "w8"):
        assert found[name] == pytest.approx(spearmanr(PROXIES[name], LOSSES[name]).statistic)
    proxies, losses = ([row.proxy for row in TABLE.rows], [row.loss for row in TABLE.rows])
    assert found["all"] == pytest.approx(spearmanr(proxies, losses).statistic)
    assert "f16" not in found


def test_a_saved_table_comes_back_exactly(tmp_path: Path) -> None:
    TABLE.save(tmp_path / "s.json")
    assert Sensitivity.load(tmp_path / "s.json") == TABLE
    (tmp_path / "s.json").write_text('{"metric": "kl"}')
    with pytest.raises(CalibrationError, match=r"cannot read the sensitivity in .*s\.json"):
        Sensitivity.load(tmp_path / "s.json")


def test_the_table_shows_the_most_sensitive_layer_first() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(TABLE.table())
    text = console.export_text()
    order = [text.index(f"layer{i}") for i in (3, 0, 2, 1)]
    assert order == sorted(order)
    assert "rank correlation of the cheap proxy" in text
