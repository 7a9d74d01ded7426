"""The dry run as people read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich import box
from rich.table import Table
from rich.text import Text

from d2vlm_pipeline.orchestration.data_check import DataReport, Needs

_SHOWN = 3
"""Examples of each reason."""


def check_tables(report: DataReport) -> Iterator[Table | Text]:
    """Videos, rows, what would be left out and why, what is usable, and what it takes."""
    yield _videos(report)
    yield _rows(report)
    if not report.is_clean:
        yield _left_out(report)
    if report.needs is not None:
        yield _samples(report)
        yield _needs(report.needs)
    yield _verdict(report)


def _table(title: str, *columns: str) -> Table:
    heading = Text(title, style="bold")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=heading, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number == 1 else "left", overflow="fold")
    return table


def _videos(report: DataReport) -> Table:
    table = _table(f"Videos in {report.root}", "", "videos", "")
    accepted = sum(row.status == "ok" for row in report.videos)
    _add(table, "accepted", f"{accepted:,}", "")
    for reason, count in report.quarantine.video_counts.items():
        _add(table, f"refused: {reason}", f"{count:,}", "")
    copies = sum(len(names) - 1 for names in report.copies)
    _add(table, "copies of another, by content", f"{copies:,}", _some(" = ".join(n) for n in report.copies))
    if report.twins:
        alike = [f"{row.video} ({row.split}) = {row.twin} ({row.twin_split})" for row in report.twins]
        _add(table, "that look like one of another split", f"{len(alike):,}", _some(alike))
    _add(table, "that no usable row is about", f"{len(report.unused):,}", _some(report.unused))
    return table


def _rows(report: DataReport) -> Table:
    table = _table(f"Rows of {', '.join(report.files)}", "", "rows")
    rejected = len(report.quarantine.rows)
    _add(table, "usable", f"{report.quarantine.rows_total - rejected:,}")
    for what, count in report.quarantine.adjusted.items():
        _add(table, f"  of them changed: {what}", f"{count:,}")
    for code, count in report.quarantine.row_counts.items():
        _add(table, f"left out: {code}", f"{count:,}")
    return table


def _left_out(report: DataReport) -> Table:
    """The first few of every reason, as their one-line messages."""
    table = _table(f"Left out: the first {_SHOWN} of each reason", "reason")
    shown: dict[str, int] = {}
    lines = [(video.reason, video.detail) for video in report.quarantine.videos]
    lines += [(row.code, str(row)) for row in report.quarantine.rows]
    for reason, line in lines:
        shown[reason] = shown.get(reason, 0) + 1
        if shown[reason] <= _SHOWN:
            _add(table, line)
    return table


def _samples(report: DataReport) -> Table:
    table = _table("Usable samples", "split", "samples", "of each task")
    for split, tasks in report.samples.items():
        listed = ", ".join(f"{task} {count:,}" for task, count in tasks.items())
        _add(table, split, f"{sum(tasks.values()):,}", listed)
    return table


def _needs(needs: Needs) -> Table:
    table = _table("What a run takes, foretold", "", "", "")
    _add(table, "clips", f"{needs.clips:,}", "")
    spread = f"{needs.median_frames:g} of a median clip, {needs.most_frames:,} of the longest"
    _add(table, "frames", f"{needs.frames:,}", spread)
    if needs.thinned:
        _add(table, "clips thinned to sampling.max_frames", f"{needs.thinned:,}", "")
    _add(table, "tokens of frames", f"{needs.video_tokens:,}", "")
    _add(table, "tokens of questions and answers", f"{needs.text_tokens:,}", "4 characters each, about")
    _add(table, "features on disk", _size(needs.feature_bytes), "")
    for phase, size in needs.gpu_bytes.items():
        _add(table, f"memory of a GPU, {phase}", _size(size), "`d2vlm plan` shows of what")
    return table


def _verdict(report: DataReport) -> Text:
    if report.needs is None:
        return Text("nothing is usable", style="bold red")
    if report.is_clean:
        return Text("nothing would be left out", style="bold green")
    videos = _counted(len(report.quarantine.videos), "video")
    rows = _counted(len(report.quarantine.rows), "row")
    stop = "; ingestion would stop: footage of one split looks like that of another" if report.twins else ""
    return Text(f"{videos} and {rows} would be left out{stop}", style="bold yellow")


def _add(table: Table, *cells: str) -> None:
    """A row of plain text: a file may be called `[red]`, or `[/]`, which would end the report."""
    table.add_row(*map(Text, cells))


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" … {len(listed) - _SHOWN:,} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.2f} GiB"
