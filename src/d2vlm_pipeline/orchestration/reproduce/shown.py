"""The outcome of a reproduction as a table."""

from __future__ import annotations

from rich import box
from rich.table import Table

from d2vlm_pipeline.orchestration.reproduce.compare import Comparison

_DIGITS = 12


def output_table(comparison: Comparison) -> Table:
    """A line per output, in the order in which nodes made them."""
    table = Table(box=box.SIMPLE_HEAD, title="outputs", title_justify="left", title_style="bold")
    for heading in ("output", "node", "recorded", "found", "verdict"):
        table.add_column(heading, no_wrap=heading == "output", overflow="fold")
    for row in comparison.outputs:
        verdict = f"{row.verdict}: {row.note}" if row.note else row.verdict
        table.add_row(row.name, row.node, _short(row.recorded), _short(row.found), verdict)
    return table


def _short(digest: str | None) -> str:
    return "-" if digest is None else digest[:_DIGITS]
