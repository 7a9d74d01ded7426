"""ActivityNet Captions (Krishna et al., ICCV 2017): a JSON object of videos with times and sentences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from d2vlm_pipeline.annotations.config import ImportConfig
from d2vlm_pipeline.annotations.draft import Draft, Fault, ForeignRow, parsed_row
from d2vlm_pipeline.annotations.files import object_entries
from d2vlm_pipeline.annotations.formats.dense import dense_drafts, numbered


class ActivityNetRow(ForeignRow):
    """One video: seconds, and as many sentences as time stamps."""

    duration: float | None = None
    timestamps: tuple[tuple[float, float], ...]
    sentences: tuple[str, ...]


def read(path: Path, config: ImportConfig) -> Iterator[Draft | Fault]:
    """One `dvc` row a video; where `task` asks for one event at a time, one row a sentence.

    Raises:
        UserError: no such file, too large, or no JSON object.
    """
    return numbered(_rows(path, config))


def _rows(path: Path, config: ImportConfig) -> Iterator[Draft | Fault]:
    for entry in object_entries(path, config.max_file_mb):
        if isinstance(entry, Fault):
            yield entry
            continue
        line, video, value = entry
        row = parsed_row(ActivityNetRow, value, line, video)
        if isinstance(row, Fault):
            yield row
        else:
            yield from dense_drafts(video, row.timestamps, row.sentences, row.duration, config)
