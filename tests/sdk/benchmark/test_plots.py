"""Mirrors sdk/lamella/benchmark/plots.py: what is drawn, read back from the SVG."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from lamella.benchmark import plots
from lamella.benchmark.report import Report

CHOSEN = {"size_bytes": 2e5, "drop": 0.04}


def texts(svg: str) -> str:
    return " ".join("".join(node.itertext()).strip() for node in ElementTree.fromstring(svg).iter())


def bars(svg: str) -> int:
    """Counts the filled rectangles in the colours of bars."""
    return len(re.findall(rf"fill: ({plots.BLUE}|{plots.GREY})", svg))


def test_a_front_is_one_svg_with_its_axes_named(report: Report) -> None:
    svg = plots.pareto(report.pareto, CHOSEN, "kl")
    assert svg.startswith("<svg")
    assert "size, MB" in texts(svg)
    assert "drop of kl, measured" in texts(svg)
    assert "chosen" in texts(svg)


def test_the_order_of_the_points_does_not_matter(report: Report) -> None:
    forwards = plots.pareto(report.pareto, CHOSEN, "kl")
    assert forwards == plots.pareto(report.pareto[::-1], CHOSEN, "kl")


def test_points_without_a_finite_drop_are_left_out(report: Report) -> None:
    broken = [{"size_bytes": 5e4, "drop": math.nan}, {"size_bytes": 6e4, "drop": math.inf}]
    whole = plots.pareto(report.pareto, CHOSEN, "kl")
    assert plots.pareto([*broken, *report.pareto], CHOSEN, "kl") == whole


def test_every_layer_has_a_bar_in_each_of_four_panels(report: Report) -> None:
    svg = plots.layers(report.layers)
    assert bars(svg) == 4 * len(report.layers)
    for title in ("bits per weight", "KB", "sensitivity", "SQNR, dB"):
        assert title in texts(svg)


@pytest.mark.parametrize("count", [1, 300])
def test_few_and_many_layers_can_be_drawn(report: Report, count: int) -> None:
    assert bars(plots.layers(report.layers[:1] * count)) == 4 * count


def test_layers_that_lost_nothing_can_be_drawn(report: Report) -> None:
    rows = [{**row, "sensitivity": None, "sqnr_db": None} for row in report.layers]
    assert plots.layers(rows).startswith("<svg")
