"""This project's own JSON Lines: one Sample a line, read back as it was written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from d2vlm_pipeline.annotations.config import ImportConfig
from d2vlm_pipeline.annotations.draft import Draft, Fault, Span
from d2vlm_pipeline.annotations.files import checked_file
from d2vlm_pipeline.annotations.jsonl import classified
from d2vlm_pipeline.timeline import LineError, Sample, scan_jsonl


def read(path: Path, config: ImportConfig) -> Iterator[Draft | Fault]:
    """One sample a line; nothing of it is reworded.

    Raises:
        UserError: no such file, or too large.
    """
    for line, record in scan_jsonl(checked_file(path, config.max_file_mb), Sample):
        if isinstance(record, LineError):
            code, video, sample_id = classified(record.raw)
            yield Fault(line, code, record.reason, video, sample_id)
        else:
            yield draft_of(record, line)


def draft_of(sample: Sample, line: int) -> Draft:
    """A sample's content as a reader would give it."""
    return Draft(
        line=line,
        video=sample.video,
        task=sample.task,
        question=sample.question,
        answer=sample.answer,
        events=tuple(Span(event.start_s, event.end_s, event.caption) for event in sample.events),
        query_intervals=sample.query_intervals,
        options=sample.options,
        answer_index=sample.answer_index,
        id=sample.id,
        source=sample.source,
        split=sample.split,
    )
