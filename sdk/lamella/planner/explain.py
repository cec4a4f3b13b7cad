"""The resolved plan for a terminal: what each layer gets, which rule decided, and the totals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from lamella.planner.spec import Choice, Plan


def table(plan: Plan) -> Table:
    """Returns one row per layer and a footer with the totals."""
    promised = plan.promised
    size = promised.get("size_bytes", sum(choice.nbytes for choice in plan.choices))
    bits = promised.get("average_bits")
    rendered = Table(title=_title(plan), show_footer=True)
    rendered.add_column("layer", footer=f"{len(plan.choices)} layers, whole file")
    rendered.add_column("rule")
    rendered.add_column("format")
    rendered.add_column("bits", justify="right", footer=f"{bits:.2f}" if bits else "")
    rendered.add_column("bytes", justify="right", footer=f"{size:,}")
    rendered.add_column("expected loss", justify="right", footer=_total_loss(plan))
    rendered.add_column("runs as")
    for choice in plan.choices:
        rendered.add_row(*_cells(choice))
    return rendered


def _title(plan: Plan) -> str:
    goal = f"plan for {plan.target}" if plan.target else "plan"
    drop = plan.promised.get("drop")
    name = plan.promised.get("metric", "drop")
    measured = "" if drop is None else f", measured {name} {drop:.4g}"
    return f"{goal} {plan.hash[:12]}{measured}"


def _total_loss(plan: Plan) -> str:
    # Not the sum of the column: layers that share a weight share its loss.
    expected = plan.promised.get("expected_loss")
    return "" if expected is None else f"{expected:.4g}"


def _cells(choice: Choice) -> tuple[str, ...]:
    loss = "not measured" if choice.loss is None else f"{choice.loss:.3g}"
    bits, size = f"{choice.bits:.2f}", f"{choice.nbytes:,}"
    return choice.layer, choice.rule, choice.format, bits, size, loss, choice.support or ""
