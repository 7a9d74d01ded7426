"""YouCook2 (Zhou et al., AAAI 2018), its own JSON: videos under `database` with their steps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from d2vlm_pipeline.annotations.config import ImportConfig
from d2vlm_pipeline.annotations.draft import Draft, Fault, ForeignRow, parsed_row
from d2vlm_pipeline.annotations.files import object_entries
from d2vlm_pipeline.annotations.formats.dense import dense_drafts, numbered


class Step(ForeignRow):
    """One step of a recipe, seconds."""

    segment: tuple[float, float]
    sentence: str


class YouCook2Row(ForeignRow):
    """One video; those of the test subset have no annotations and cannot be used."""

    duration: float | None = None
    subset: str | None = None
    annotations: tuple[Step, ...]


def read(path: Path, config: ImportConfig) -> Iterator[Draft | Fault]:
    """One `dvc` row a video; where `task` asks for one event at a time, one row a step.

    Raises:
        UserError: no such file, too large, or no JSON object with a `database`.
    """
    return numbered(_rows(path, config))


def _rows(path: Path, config: ImportConfig) -> Iterator[Draft | Fault]:
    for entry in object_entries(path, config.max_file_mb, "database"):
        if isinstance(entry, Fault):
            yield entry
            continue
        line, video, value = entry
        row = parsed_row(YouCook2Row, value, line, video)
        if isinstance(row, Fault):
            yield row
            continue
        spans = [step.segment for step in row.annotations]
        sentences = [step.sentence for step in row.annotations]
        yield from dense_drafts(video, spans, sentences, row.duration, config, row.subset)
