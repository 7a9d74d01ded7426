"""QVHighlights (Lei et al., NeurIPS 2021): a query a line with all windows that show it, and saliency."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from d2vlm_pipeline.annotations.config import ImportConfig
from d2vlm_pipeline.annotations.draft import Draft, Fault, ForeignRow, as_spans, parsed_row
from d2vlm_pipeline.annotations.files import checked_file, json_lines
from d2vlm_pipeline.annotations.wording import answered, asked, plain

ID = "qvhighlights-"
"""What stands before the `qid` in the id of a sample."""


class QVHighlightsRow(ForeignRow):
    """One query; windows in seconds. Rows of the test split have none and cannot be used.

    `saliency_scores` and `relevant_clip_ids` say how much each 2 s clip is worth to three people; samples
    have no place for them.
    """

    qid: str
    query: str
    vid: str
    duration: float | None = None
    relevant_windows: tuple[tuple[float, float], ...]


def read(path: Path, config: ImportConfig) -> Iterator[Draft | Fault]:
    """One query a line: `tvg` where one window shows it, `tal` where several do or none.

    Raises:
        UserError: no such file, or too large.
    """
    for entry in json_lines(checked_file(path, config.max_file_mb)):
        if isinstance(entry, Fault):
            yield entry
            continue
        line, value = entry
        row = parsed_row(QVHighlightsRow, value, line)
        yield row if isinstance(row, Fault) else _draft(line, row, config)


def _draft(line: int, row: QVHighlightsRow, config: ImportConfig) -> Draft | Fault:
    query, count = plain(row.query), len(row.relevant_windows)
    if not query:
        return Fault(line, "missing_field", "the query is empty", row.vid, ID + row.qid)
    task = config.task or ("tvg" if count == 1 else "tal")
    return Draft(
        line,
        row.vid,
        task,
        asked(task, query, config),
        answered(task, count, config),
        as_spans(row.relevant_windows, [query] * count),
        duration_s=row.duration,
        id=ID + row.qid,
    )
