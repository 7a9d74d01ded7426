"""The gates of a decision as rows: for the console, for a log file, for the page of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from d2vlm_pipeline.registry.results import GateResult, Unit, amount

if TYPE_CHECKING:
    from rich.table import Table

    from d2vlm_pipeline.registry.decide import Decision

COLUMNS = ("gate", "figure", "threshold", "margin", "outcome")
_ABSENT = "–"
_COUNTS = ("questions", "failures", "clips")


class GateRow(NamedTuple):
    """One gate in words and figures with their units."""

    name: str
    figure: str
    threshold: str
    margin: str
    outcome: str


def gate_rows(decision: Decision) -> list[GateRow]:
    """A row for every gate, in the order of the decision."""
    return [_row(gate) for gate in decision.gates]


def gate_table(decision: Decision) -> Table:
    """The same as a table for a terminal or a log file."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title="Gates of promotion", title_justify="left", title_style="bold")
    for name in COLUMNS:
        is_figure = name in ("figure", "threshold", "margin")
        table.add_column(name, justify="right" if is_figure else "left", no_wrap=is_figure)
    for row in gate_rows(decision):
        table.add_row(*map(escape, row))
    return table


def _row(gate: GateResult) -> GateRow:
    return GateRow(
        name=gate.name,
        figure=_shown(gate.figure, gate.unit),
        threshold=_shown(gate.threshold, gate.unit),
        margin=_shown(gate.margin, gate.unit, signed=True),
        outcome=gate.outcome,
    )


def _shown(value: float | None, unit: Unit, signed: bool = False) -> str:
    if value is None:
        return _ABSENT
    sign = "+" if signed and value >= 0 else ""
    return f"{sign}{amount(value, unit)}{'' if unit in _COUNTS else f' {unit}'}"
