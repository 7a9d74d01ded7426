"""The scores of all systems side by side, as plain text for a terminal or a log."""

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from d2vlm_pipeline.evaluation.metrics import MAIN_METRICS
from d2vlm_pipeline.evaluation.scores import Score, Scores

if TYPE_CHECKING:
    from rich.table import Table

SYSTEM_ORDER = ("chance", "prior", "tiling", "whole_video", "zero_video", "blind", "sft", "fpo")
"""Systems of the contracts, from the least to the most; others follow by name."""

_WIDTH = 120
_ABSENT = "–"


def scores_table(
    scores: Mapping[str, Scores],
    split: str,
    detailed: Sequence[str] = ("sft", "fpo", "model"),
    metrics: Mapping[str, Sequence[str]] = MAIN_METRICS,
) -> str:
    """Rows of task and metric, columns of systems, in percent; ready to print.

    Args:
        scores: system name to its scores.
        split: which split to show.
        detailed: systems shown with their bootstrap interval.
        metrics: task code to the metrics shown.
    """
    from rich.console import Console

    console = Console(file=io.StringIO(), width=_WIDTH, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(_table(scores, split, detailed, metrics))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def ordered_systems(names: Sequence[str]) -> list[str]:
    """System names in the order of `SYSTEM_ORDER`, unknown ones after them by name."""
    rank = {name: index for index, name in enumerate(SYSTEM_ORDER)}
    return sorted(names, key=lambda name: (rank.get(name, len(rank)), name))


def _table(
    scores: Mapping[str, Scores], split: str, detailed: Sequence[str], metrics: Mapping[str, Sequence[str]]
) -> "Table":
    from rich import box
    from rich.table import Table

    systems = [name for name in ordered_systems(list(scores)) if split in scores[name]]
    table = Table(
        title=f"{split}: percent (bootstrap interval over clips); unparsed answers count as wrong",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title_justify="left",
        pad_edge=False,
    )
    for heading in ("task", "metric"):
        table.add_column(heading, no_wrap=True)
    for heading in (*systems, "n", "un-\nparsed"):
        # Long names break at their underscore, so that eight systems fit a terminal.
        table.add_column(heading.replace("_", "\n"), justify="right", no_wrap=True)
    for is_last, cells in _rows(scores, split, systems, detailed, metrics):
        table.add_row(*cells, end_section=is_last)
    return table


def _rows(
    scores: Mapping[str, Scores],
    split: str,
    systems: Sequence[str],
    detailed: Sequence[str],
    metrics: Mapping[str, Sequence[str]],
) -> Iterator[tuple[bool, list[str]]]:
    """(whether the task ends here, cells) for every metric that some system has."""
    for task, names in metrics.items():
        shown = [name for name in names if any(_find(scores[s], split, task, name) for s in systems)]
        for name in shown:
            found = {s: _find(scores[s], split, task, name) for s in systems}
            cells = [_cell(found[s], s in detailed) for s in systems]
            label = task if name == shown[0] else ""
            yield name == shown[-1], [label, name, *cells, *_counts(found, detailed)]


def _find(scores: Scores, split: str, task: str, metric: str) -> Score | None:
    return scores.get(split, {}).get(task, {}).get(metric)


def _cell(score: Score | None, is_detailed: bool) -> str:
    if score is None:
        return _ABSENT
    if not is_detailed:
        return f"{score['value']:.1f}"
    return f"{score['value']:.1f} ({score['low']:.0f}–{score['high']:.0f})"


def _counts(found: Mapping[str, Score | None], detailed: Sequence[str]) -> tuple[str, str]:
    """Denominator, and unparsed answers of the detailed systems in column order."""
    n = max(score["n"] for score in found.values() if score is not None)
    unparsed = [score["unparsed"] for name, score in found.items() if name in detailed and score is not None]
    return str(n), "/".join(str(count) for count in unparsed) or _ABSENT
