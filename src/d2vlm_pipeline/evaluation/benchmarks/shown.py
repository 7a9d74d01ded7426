"""A report as text for a terminal or a log: tables first, then one line for each thing to know."""

import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from d2vlm_pipeline.evaluation.benchmarks.comparison import Change, Comparison, Side
from d2vlm_pipeline.evaluation.benchmarks.engine import Report
from d2vlm_pipeline.evaluation.benchmarks.figures import label, leaf
from d2vlm_pipeline.evaluation.benchmarks.records import Benchmark

if TYPE_CHECKING:
    from rich.table import Table

_WIDTH = 110
_ABSENT = "–"
_SLICED_FIGURES = 3
_CHANGES_SHOWN = 3
_ANSWER_CHARS = 48
_SPANS_SHOWN = 3


def report_lines(report: Report) -> Iterator[str]:
    """The report line by line, no line longer than it must be and no number cut."""
    yield f"{report.benchmark}, protocol {report.protocol}: bootstrap intervals over videos"
    yield from _text(_figures(report))
    yield _counts(report)
    yield from (f"{name} is unavailable: {why}" for name, why in report.scored.unavailable.items())
    yield from (f"note: {note}" for note in report.scored.notes)
    if report.slices:
        yield ""
        yield "by slice"
        yield from _text(_slices(report))
    if report.others:
        yield ""
        yield from (other.line for other in report.others)
    if report.comparison is not None:
        yield ""
        yield from _comparison_lines(report.comparison)


def benchmark_lines(benchmark: Benchmark[object, object]) -> Iterator[str]:
    """What `--list` says of one benchmark."""
    extra = "; truth is in the predictions" if benchmark.truth == "carried" else ""
    yield f"{benchmark.name}: {benchmark.summary}{extra}"
    for name, protocol in benchmark.protocols.items():
        yield f"    {name}: {protocol.why}"


def _figures(report: Report) -> "Table":
    percent = f"{100 * report.settings.confidence:g} %"
    table = _table()
    for heading in ("value", percent, "n", "videos"):
        table.add_column(heading, justify="right", no_wrap=True)
    for path in report.scored.headline:
        value, ranged = leaf(report.scored.metrics, path), report.intervals.get(path)
        shown = _ABSENT if value is None else f"{value:.2f}"
        if ranged is None:
            table.add_row(label(path), shown, _ABSENT, _ABSENT, _ABSENT)
        else:
            interval = f"{ranged.low:.2f} to {ranged.high:.2f}"
            table.add_row(label(path), shown, interval, str(ranged.n), str(ranged.videos))
    return table


def _counts(report: Report) -> str:
    counts = vars(report.scored.counts)
    return "queries " + ", ".join(
        f"{number}" if name == "queries" else f"{name} {number}" for name, number in counts.items()
    )


def _slices(report: Report) -> "Table":
    paths = list(dict.fromkeys(part.path for part in report.slices))[:_SLICED_FIGURES]
    rows: dict[tuple[str, str], dict[tuple[str, ...], tuple[int, float]]] = {}
    for part in report.slices:
        if part.path in paths:
            rows.setdefault((part.dimension, part.name), {})[part.path] = part.n, part.value
    table = _table()
    for heading in ("", "n", *map(label, paths)):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    last = ""
    order = list(dict.fromkeys(dimension for dimension, _ in rows))
    for (dimension, name), found in sorted(rows.items(), key=lambda row: order.index(row[0][0])):
        cells = [f"{found[path][1]:.2f}" if path in found else _ABSENT for path in paths]
        n = max(count for count, _ in found.values())
        table.add_row("" if dimension == last else dimension, name, str(n), *cells)
        last = dimension
    return table


def _comparison_lines(comparison: Comparison) -> Iterator[str]:
    yield "these predictions less the others, p by approximate randomisation over videos"
    table = _table()
    for heading in ("these", "others", "difference", "interval", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    for found in comparison.differences:
        table.add_row(
            label(found.path),
            f"{found.value:.2f}",
            f"{found.other:.2f}",
            f"{found.difference:+.2f}",
            f"{found.low:+.2f} to {found.high:+.2f}",
            f"{found.p_value:.4f}",
        )
    yield from _text(table)
    yield f"{comparison.changed} queries score otherwise"
    for word, changes in (("better", comparison.better), ("worse", comparison.worse)):
        yield from (_change(word, change) for change in changes[:_CHANGES_SHOWN])


def _change(word: str, change: Change) -> str:
    before, after = (_said(side) for side in (change.before, change.after))
    scores = f"{change.before.score:.1f} to {change.after.score:.1f}"
    return f"{word}: {change.id} ({change.video}) {scores}: {before} then {after}"


def _said(side: Side) -> str:
    """The answer in quotes, or, where it is none of words, its first intervals."""
    if not side.answer and side.said:
        more = ", …" if len(side.said) > _SPANS_SHOWN else ""
        return ", ".join(f"{start_s:g}-{end_s:g} s" for start_s, end_s in side.said[:_SPANS_SHOWN]) + more
    text = " ".join(side.answer.split())
    return repr(text if len(text) <= _ANSWER_CHARS else text[: _ANSWER_CHARS - 1] + "…")


def _table() -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    return table


def _text(table: "Table") -> Iterable[str]:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=_WIDTH, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(table, markup=False, highlight=False)
    lines = (line.rstrip() for line in capture.get().splitlines())
    return (line for line in lines if line)
