"""Plots of a report, as SVG text that stands inside the HTML file."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, RED, GREY = "#2b6cb0", "#c53030", "#a0aec0"


def pareto(points: Sequence[dict[str, Any]], chosen: dict[str, float], metric: str) -> str:
    """Draws measured drop against size; the chosen plan is marked."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    ordered = sorted(points, key=lambda point: float(point["size_bytes"]))
    sizes = [point["size_bytes"] / 1e6 for point in ordered]
    axes.plot(sizes, [point["drop"] for point in ordered], "o-", color=BLUE, label="plans")
    axes.plot(chosen["size_bytes"] / 1e6, chosen["drop"], "*", color=RED, ms=14, label="chosen")
    axes.set(xlabel="size, MB", ylabel=f"drop of {metric}, measured")
    axes.grid(alpha=0.3)
    axes.legend()
    return _svg(figure)


def layers(rows: Sequence[dict[str, Any]]) -> str:
    """Draws bits, bytes, sensitivity and SQNR, one bar per layer in the order of the table."""
    panels = (
        ("bits", "bits per weight", "linear"),
        ("bytes", "KB", "linear"),
        ("sensitivity", "sensitivity", "log"),
        ("sqnr_db", "SQNR, dB", "linear"),
    )
    width = max(6.4, min(16.0, 0.14 * len(rows)))
    figure = Figure(figsize=(width, 7.2), layout="constrained")
    for index, (key, label, scale) in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, index + 1)
        _bars(axes, rows, key, 1e-3 if key == "bytes" else 1.0)
        axes.set_ylabel(label)
        if scale == "log" and any((row.get(key) or 0) > 0 for row in rows):
            axes.set_yscale("log")
    axes.set_xlabel("layer, in the order of the table below")
    return _svg(figure)


def _bars(axes: Axes, rows: Sequence[dict[str, Any]], key: str, unit: float) -> None:
    heights = [float(row.get(key) or 0.0) * unit for row in rows]
    colours = [BLUE if row.get("support") == "kernel" else GREY for row in rows]
    axes.bar(range(len(rows)), heights, color=colours, width=0.85)
    axes.margins(x=0.01)
    axes.set_xticks([])


def _svg(figure: Figure) -> str:
    """Returns the figure as an <svg> element; equal figures give equal text."""
    text = io.StringIO()
    with rc_context({"svg.hashsalt": "lamella", "svg.fonttype": "none"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    # What matplotlib says about itself names vocabularies on the web and nothing of the plot.
    return re.sub(r"\s*<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
