"""The report: what was promised, what was measured, and how to repeat it, as JSON and one page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from lamella import atomic


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one run promised and measured.

    `layers` rows hold id, format, support, bytes, bits, sensitivity (loss of compressing this
    layer alone, null where not measured) and sqnr_db of its output (null where nothing is lost).
    `fidelity` rows hold name, value, spread, drop and what was compared. `latency` rows are
    benchmark.measure.Latency. `bits_per_weight` is all bytes of `file` over all parameters.
    `forecast` is what was said before any work, `promised` what the plan says, and `measured` what
    both came to, under the same names.
    """

    model: str
    target: str
    file: str
    size_bytes: int
    baseline_bytes: int
    params: int
    bits_per_weight: float
    layers: list[dict[str, Any]]
    fidelity: list[dict[str, Any]]
    latency: list[dict[str, Any]]
    forecast: dict[str, Any]
    promised: dict[str, Any]
    measured: dict[str, Any]
    pareto: list[dict[str, Any]]
    notes: list[str]
    plan: str
    command: str
    environment: dict[str, Any] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        """Returns the report as plain values; numbers that are not finite become None."""
        plain: dict[str, Any] = _finite(asdict(self))
        return plain

    def save(self, folder: Path) -> None:
        """Writes report.json and report.html, each atomically."""
        text = json.dumps(self.data(), indent=1, sort_keys=True, allow_nan=False)
        atomic.write(folder / "report.json", text.encode() + b"\n")
        atomic.write(folder / "report.html", self.html().encode())

    def html(self) -> str:
        """Returns one self-contained page: no script, font or picture comes from elsewhere."""
        # Drawing takes a second to load; programs that only measure do without.
        from lamella.benchmark import plots

        source = (files("lamella.benchmark") / "report.html.j2").read_text("utf-8")
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
        environment.filters["figure"] = figure
        chosen = {"size_bytes": self.size_bytes, "drop": self.fidelity[0]["drop"]}
        drawn = {"layers": plots.layers(self.layers)}
        if self.pareto:
            drawn["pareto"] = plots.pareto(self.pareto, chosen, self.fidelity[0]["name"])
        return environment.from_string(source).render(report=self, plots=drawn)

    def table(self) -> RenderableType:
        """Returns the summary for a terminal."""
        table = Table(title=escape(f"{self.model} on {self.target}"))
        for heading in ("", "before", "after", "change"):
            table.add_column(heading, justify="right" if heading else "left")
        before, after = self.baseline_bytes / 1e6, self.size_bytes / 1e6
        table.add_row("size, MB", f"{before:.2f}", f"{after:.2f}", f"{before / after:.2f}x less")
        table.add_row("bits per weight", "32", f"{self.bits_per_weight:.2f}", "")
        for row in self.latency:
            was, now = f"{row['baseline_median_ms']:.2f}", f"{row['median_ms']:.2f}"
            spread = f"{row['ratio']:.2f}x time ({row['ratio_low']:.2f}-{row['ratio_high']:.2f})"
            threads = f"{row['threads']} thread{'s' if row['threads'] > 1 else ''}"
            table.add_row(f"ms, {row['runtime']}, {threads}", was, now, spread)
        for row in self.fidelity:
            spread = "" if row["spread"] is None else f" ± {row['spread']:.4f}"
            value = f"{row['value']:.4f}{spread}"
            table.add_row(f"{row['name']} ({row['what']})", "", value, f"drop {row['drop']:.4f}")
        for name, unit, scale in (("seconds", "s", 1.0), ("peak_rss_bytes", "MB", 1e6)):
            said, found = self.forecast.get(name), self.measured.get(name)
            if said and found:
                label = f"{name.split('_')[0]} of the run, {unit}"
                said, found = said / scale, found / scale
                table.add_row(
                    label, f"{said:,.0f} forecast", f"{found:,.0f}", f"{found / said:.2f}x"
                )
        return Group(table, *(escape(f"note: {note}") for note in self.notes))


def figure(value: Any, name: str = "") -> str:
    """Writes a value of a table: bytes as MB, numbers with four digits, nothing as nothing."""
    if value is None or isinstance(value, str):
        return value or ""
    if name.endswith("_bytes"):
        return f"{value / 1e6:,.2f} MB"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
