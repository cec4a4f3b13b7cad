"""Mirrors sdk/lamella/benchmark/report.py."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from lamella.benchmark.report import Report, figure

VOID = {"meta", "br", "hr", "img", "link", "input", "path", "use", "rect", "circle"}


class Outline(HTMLParser):
    """Collects the open tags, and checks that they are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def outline(page: str) -> Outline:
    found = Outline()
    found.feed(page)
    return found


def test_the_page_is_well_formed_and_has_its_parts_in_order(report: Report) -> None:
    page = report.html()
    found = outline(page)
    assert found.open == []
    titles = ["Promised and measured", "Size against drop", "Layers", "Plan", "Environment"]
    places = [page.index(f"<h2>{title}</h2>") for title in titles]
    assert places == sorted(places)
    assert found.tags.count("svg") == 2
    assert found.tags.count("table") == 6


def test_text_from_the_model_is_escaped(report: Report) -> None:
    page = report.html()
    assert "toy &lt;model&gt; on onnx" in page
    assert "repaired &amp; named" in page
    assert "<model>" not in page
    assert "a &lt;fast&gt; one" in page


def test_promise_and_measurement_stand_in_one_row(report: Report) -> None:
    rows = "".join(report.html().split("\n"))
    assert "<td>size bytes</td><td>0.24 MB</td><td>0.25 MB</td>" in rows
    assert "<td>seconds</td><td>12</td><td>11</td>" in rows
    assert "<td>metric</td><td>score</td><td></td>" in rows


def test_without_a_front_there_is_no_plot_of_it(report: Report) -> None:
    page = replace(report, pareto=[]).html()
    assert "Size against drop" not in page
    assert outline(page).tags.count("svg") == 1


def test_equal_reports_give_equal_pages(report: Report) -> None:
    assert report.html() == replace(report).html()


def test_json_has_null_for_what_is_not_finite(report: Report, tmp_path: Path) -> None:
    broken = [{**report.pareto[0], "drop": math.nan}, {**report.pareto[1], "drop": math.inf}]
    replace(report, pareto=broken, bits_per_weight=math.inf).save(tmp_path)
    found = json.loads((tmp_path / "report.json").read_text())
    assert [point["drop"] for point in found["pareto"]] == [None, None]
    assert found["bits_per_weight"] is None
    assert found["layers"][0]["bytes"] == 1200
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")


def test_the_terminal_shows_before_after_and_notes(report: Report) -> None:
    shown = io.StringIO()
    Console(width=120, file=shown).print(report.table())
    text = shown.getvalue()
    assert "toy <model> on onnx" in text
    assert "4.00x less" in text
    assert "0.50x time (0.40-0.60)" in text
    assert "0.0200 ± 0.0010" in text
    assert "note: layer depth: repaired & named" in text


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        (None, "", ""),
        ("kl", "metric", "kl"),
        (2_500_000, "peak_rss_bytes", "2.50 MB"),
        (1234, "", "1,234"),
        (0.0123456, "drop", "0.01235"),
    ],
)
def test_values_are_written_for_people(value: object, name: str, expected: str) -> None:
    assert figure(value, name) == expected
