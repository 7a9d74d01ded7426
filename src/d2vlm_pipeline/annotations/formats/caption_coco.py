"""The `caption_coco` JSON of TimeChat (arXiv 2312.02051): YouCook2's captions, Charades-STA's queries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from d2vlm_pipeline.annotations.config import ImportConfig
from d2vlm_pipeline.annotations.draft import Draft, Fault, ForeignRow, Span, parsed_row
from d2vlm_pipeline.annotations.files import list_entries
from d2vlm_pipeline.annotations.formats.dense import dense_drafts, numbered
from d2vlm_pipeline.annotations.wording import answered, asked, plain

_BETWEEN_CAPTIONS = ". "


class DenseRow(ForeignRow):
    """A video's segments in seconds and its captions in one text, divided by full stop and space."""

    image_id: str
    duration: float | None = None
    segments: tuple[tuple[float, float], ...]
    pure_cap: str


class QueryRow(ForeignRow):
    """One query and the time stamp, in seconds, of what it describes."""

    image_id: str
    duration: float | None = None
    caption: str
    timestamp: tuple[float, float]


def read(path: Path, config: ImportConfig) -> Iterator[Draft | Fault]:
    """`dvc` for entries with `segments`, `tvg` for entries with a `timestamp`.

    Raises:
        UserError: no such file, too large, or no JSON object with a list `annotations`.
    """
    return numbered(_rows(path, config))


def _rows(path: Path, config: ImportConfig) -> Iterator[Draft | Fault]:
    for entry in list_entries(path, config.max_file_mb, "annotations"):
        if isinstance(entry, Fault):
            yield entry
            continue
        line, value = entry
        if isinstance(value, dict) and "timestamp" in value:
            query = parsed_row(QueryRow, value, line)
            yield query if isinstance(query, Fault) else _query(query, config)
            continue
        row = parsed_row(DenseRow, value, line)
        if isinstance(row, Fault):
            yield row
            continue
        captions = row.pure_cap.split(_BETWEEN_CAPTIONS)
        yield from dense_drafts(row.image_id, row.segments, captions, row.duration, config)


def _query(row: QueryRow, config: ImportConfig) -> Draft | Fault:
    query, task = plain(row.caption), config.task or "tvg"
    if not query:
        return Fault(0, "missing_field", "the caption is empty", row.image_id)
    return Draft(
        0,
        row.image_id,
        task,
        asked(task, query, config),
        answered(task, 1, config),
        (Span(*row.timestamp, query),),
        duration_s=row.duration,
    )
