"""The summary of a run as text: tables on a terminal, plain lines in a log file."""

from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_LOG_WIDTH = 110


@dataclass(frozen=True)
class Summary:
    """What is printed.

    Attributes:
        seconds: seconds by pipeline.
        total_s: wall-clock seconds of the run.
        peak_bytes: peak memory of the process tree.
        metrics: content of metrics.json, where this run wrote it.
        decision: promotion's decision, where this run took it.
        places: paths by label.
        validation: what the guards of the datasets found: a count, then every warning.
        up_to_date: nodes that were asked for and had nothing to do.
    """

    seconds: dict[str, float]
    total_s: float
    peak_bytes: int
    metrics: dict[str, Any] | None
    decision: dict[str, Any] | None
    places: dict[str, str]
    validation: list[str] = field(default_factory=list)
    up_to_date: int = 0


def print_summary(summary: Summary, console: Console | None = None) -> None:
    """Print to `console`, by default standard output; no control codes where that is no terminal."""
    console = console or default_console()
    if summary.metrics is not None:
        from d2vlm_pipeline.evaluation import scores_table

        scores = summary.metrics["scores"]
        for split in sorted({split for system in scores.values() for split in system}):
            # As it is: a terminal narrower than the table should cut no number in two.
            console.print(scores_table(scores, split), highlight=False, markup=False, soft_wrap=True)
    console.print(_seconds_table(summary))
    console.print(_facts(summary))


def default_console() -> Console:
    """Standard output; wide enough for a table where it is a file and has no width of its own."""
    console = Console()
    return console if console.is_terminal else Console(width=_LOG_WIDTH)


def _seconds_table(summary: Summary) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="Seconds per pipeline", title_justify="left", title_style="bold")
    table.add_column("pipeline")
    table.add_column("seconds", justify="right")
    for name, seconds in summary.seconds.items():
        table.add_row(name, f"{seconds:.1f}")
    table.add_row("whole run", f"{summary.total_s:.1f}", style="bold")
    return table


def _facts(summary: Summary) -> Table:
    """Label and value, one pair a line."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("peak memory", f"{summary.peak_bytes / 1e9:.2f} GB (process tree)")
    if summary.up_to_date:
        grid.add_row("up to date", f"nodes that did not run: {summary.up_to_date} (`--explain` says more)")
    if summary.decision is not None:
        grid.add_row("promotion", str(summary.decision["reason"]))
    for number, line in enumerate(summary.validation):
        grid.add_row("" if number else "validation", escape(line))
    for label, place in summary.places.items():
        grid.add_row(label, place)
    return grid
