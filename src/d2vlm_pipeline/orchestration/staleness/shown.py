"""Verdicts for people."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from d2vlm_pipeline.orchestration.staleness.decide import Verdict


def verdict_table(verdicts: Sequence[Verdict]) -> Table:
    """A line per node: whether it runs, and why."""
    running = sum(verdict.cause is not None for verdict in verdicts)
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"{running} of {len(verdicts)} nodes would run",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("node", no_wrap=True)
    table.add_column("runs")
    table.add_column("why", overflow="fold")
    for verdict in verdicts:
        table.add_row(verdict.node, "yes" if verdict.cause else "no", verdict.cause or "up to date")
    return table


def nothing_to_do(verdicts: Sequence[Verdict]) -> str:
    """What a run says that has nothing to do."""
    return f"nothing to do: {_nodes(len(verdicts))} up to date; `--force` runs everything all the same"


def left_out(verdicts: Sequence[Verdict]) -> str:
    """What a run says of the nodes that it leaves out."""
    skipped = sum(verdict.cause is None for verdict in verdicts)
    return f"{_nodes(skipped)} up to date; {len(verdicts) - skipped} to run (`--explain` says why)"


def _nodes(count: int) -> str:
    return "1 node is" if count == 1 else f"{count} nodes are"
