"""Rows of any format as samples, every one of them or the reason why not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from d2vlm_pipeline.annotations.archives import SEPARATOR, opened_file
from d2vlm_pipeline.annotations.config import DataConfig, ImportConfig
from d2vlm_pipeline.annotations.draft import Draft, Fault, RowError, fault_code
from d2vlm_pipeline.annotations.formats import READERS
from d2vlm_pipeline.annotations.names import VideoNames
from d2vlm_pipeline.annotations.rejection import MENDS, Rejection
from d2vlm_pipeline.annotations.splits import drawn_split
from d2vlm_pipeline.artifacts import StrictModel, validation_reason
from d2vlm_pipeline.timeline import Event, Sample
from d2vlm_pipeline.video.naming import shown

_NAME_CHARS = 255
"""What a rejection keeps of a name, in characters that any file can hold."""


class ImportedRow(StrictModel):
    """What became of one row of a file.

    Attributes:
        file, line: where it stands; see `Rejection`.
        sample_id: of the sample that it became; None where it was rejected.
        duration_s: of its video, as the row says.
        note: what of the row a sample has no place for, a word to count by.
        rejection: why it was not used.
    """

    file: str
    line: int
    sample_id: str | None = None
    duration_s: float | None = None
    note: str | None = None
    rejection: Rejection | None = None


Imported = tuple[ImportedRow, Sample | None]


def import_folder(config: DataConfig, names: Iterable[str]) -> Iterator[Imported]:
    """All rows of all configured files.

    Args:
        config: the files, and how they are read.
        names: the videos that there are, relative to their folder.

    Raises:
        UserError: a file is missing, too large, or not in its format at all.
    """
    videos, first_rows = VideoNames(names, config.video_pattern), dict[str, str]()
    stems = [stem_of_file(file) for _, file in config.files]
    for (split, file), stem in zip(config.files, stems, strict=True):
        # Files of one name in several folders: the split tells their rows apart.
        stem = f"{split}-{stem}" if stems.count(stem) > 1 else stem
        with opened_file(file, config.max_file_mb) as path:
            yield from import_rows(path, config.reading(split), videos, file, stem, first_rows)


def import_rows(
    path: Path,
    config: ImportConfig,
    videos: VideoNames,
    file: str | None = None,
    stem: str | None = None,
    first_rows: dict[str, str] | None = None,
) -> Iterator[Imported]:
    """Every row of one file with its sample, or with the reason why there is none.

    Whether an interval ends before its video does is not known here; `read_samples` checks it.

    Args:
        path: the file.
        config: how it is read.
        videos: the files that rows may mean.
        file: what rejections call it; by default its path.
        stem: what begins ids in formats that have none; by default the file's name without extension.
        first_rows: where ids of earlier files were first used; those of this one are added.

    Raises:
        UserError: the file is missing, too large, or not in its format at all.
    """
    file, first_rows = file or str(path), {} if first_rows is None else first_rows
    stem = stem or stem_of_file(file)
    for row in READERS[config.format](path, config):
        outcome = row if isinstance(row, Fault) else sample_of(row, config, videos, stem, first_rows)
        if isinstance(outcome, Fault):
            yield ImportedRow(file=file, line=row.line, rejection=rejection_of(file, outcome)), None
            continue
        assert isinstance(row, Draft)
        first_rows[outcome.id] = f"{file}:{row.line}"
        duration_s = row.duration_s if row.duration_s is not None and math.isfinite(row.duration_s) else None
        yield ImportedRow(
            file=file, line=row.line, sample_id=outcome.id, duration_s=duration_s, note=row.note
        ), outcome


def stem_of_file(file: str) -> str:
    """Name of an annotation file, in an archive or not, without folder and extension."""
    return Path(file.rpartition(SEPARATOR)[2]).stem


def sample_of(
    draft: Draft, config: ImportConfig, videos: VideoNames, stem: str, first_rows: dict[str, str]
) -> Sample | Fault:
    """The sample of a draft; `stem` begins the ids of formats that have none.

    Args:
        draft: what a reader made of a row.
        config: how the file is read.
        videos: the files that the row may mean.
        stem: of the file's name.
        first_rows: where ids are in use.
    """
    sample_id = draft.id or f"{stem}-{draft.line}"
    try:
        if sample_id in first_rows:
            raise RowError("duplicate_id", f"id {sample_id!r} is in use in {first_rows[sample_id]}")
        check_intervals(draft)
        video = videos.find(draft.video)
        return Sample(
            id=sample_id,
            video=video,
            task=draft.task,
            source=config.dataset or draft.source or config.format,
            split=_split(draft, config, video),
            question=draft.question,
            query_intervals=draft.query_intervals,
            events=tuple(Event(start_s=e.start_s, end_s=e.end_s, caption=e.caption) for e in draft.events),
            answer=draft.answer,
            options=draft.options,
            answer_index=draft.answer_index,
        )
    except RowError as error:
        return Fault(draft.line, error.code, str(error), draft.video, sample_id)
    except ValidationError as error:
        return Fault(draft.line, fault_code(error), validation_reason(error), draft.video, sample_id)


def check_intervals(draft: Draft) -> None:
    """Say of an interval what people can look for, before the record says what it must be.

    Raises:
        RowError: not finite, before the start, empty or reversed.
    """
    named = [("event", event.start_s, event.end_s) for event in draft.events]
    named += [("query interval", *pair) for pair in draft.query_intervals]
    for number, (what, start_s, end_s) in enumerate(named, start=1):
        where = f"{what} {number}" if what == "event" else what
        if not (math.isfinite(start_s) and math.isfinite(end_s)):
            raise RowError("not_finite", f"{where} is [{start_s}, {end_s}]")
        if start_s < 0:
            raise RowError("bad_interval", f"{where} starts at {start_s:g} s, before the video")
        if end_s < start_s:
            raise RowError("bad_interval", f"{where} ends at {end_s:g} s, before it starts at {start_s:g} s")
        if end_s == start_s:
            raise RowError("bad_interval", f"{where} is empty: it starts and ends at {start_s:g} s")


def _split(draft: Draft, config: ImportConfig, video: str) -> str:
    if config.split is not None:
        return config.split
    if draft.split is not None:
        return config.split_names.get(draft.split, draft.split)
    return drawn_split(video, config.splits, config.seed)


def rejection_of(file: str, fault: Fault) -> Rejection:
    """A fault with its file and its mend."""
    return Rejection(
        file=file,
        line=fault.line,
        video=None if fault.video is None else shown(fault.video, _NAME_CHARS),
        sample_id=None if fault.sample_id is None else shown(fault.sample_id, _NAME_CHARS),
        code=fault.code,
        reason=fault.reason,
        mend=MENDS[fault.code],
    )
