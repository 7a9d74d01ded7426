"""Queries with their true intervals, and what was said about them, from the files of grounding benchmarks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from d2vlm_pipeline.annotations import ImportConfig
from d2vlm_pipeline.annotations.draft import Fault
from d2vlm_pipeline.annotations.formats import charades_sta
from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.benchmarks.files import Row, load_list, load_object, unique
from d2vlm_pipeline.evaluation.benchmarks.records import Span
from d2vlm_pipeline.video.naming import stem_of


@dataclass(frozen=True)
class Asked:
    """A query: what the truth knows of it.

    Attributes:
        truth: true intervals; where there are several, the one that fits best counts.
        duration_s: length of the video, None where no file says.
    """

    id: str
    video: str
    question: str
    truth: tuple[Span, ...]
    duration_s: float | None = None


@dataclass(frozen=True)
class Said:
    """A prediction.

    Attributes:
        id: of the query.
        video: as the prediction names it, None where it does not.
        spans: in the order given; none where nothing could be parsed.
        place: of the entry in its file, for errors.
    """

    id: str
    video: str | None
    spans: tuple[Span, ...]
    place: str


@dataclass(frozen=True)
class Grounding:
    """Queries, and predictions in the order of their file."""

    asked: tuple[Asked, ...]
    said: tuple[Said, ...]


def read_said(path: Path) -> tuple[Said, ...]:
    """Predictions of the form `{query id: {"timestamp", "vid", "query"}}`.

    `timestamp` is a list of intervals (TimeChat) or one interval (D2VLM); it is empty or missing where an
    answer could not be parsed.

    Raises:
        UserError: unreadable, or an entry is no such object; names the entry.
    """
    return tuple(
        Said(
            id=row.name,
            video=row["vid"].text if row.has("vid") else None,
            spans=_timestamp(row["timestamp"]) if row.has("timestamp") else (),
            place=row.place,
        )
        for row in load_object(path)
    )


def read_caption_coco(path: Path) -> tuple[Asked, ...]:
    """Queries of TimeChat's `caption_coco` JSON: `{"annotations": [{id, image_id, caption, timestamp}]}`.

    Raises:
        UserError: unreadable, an entry of another form, two of one id, or an interval that is none; names the
            entry.
    """
    rows = load_list(path, "annotations")
    by_id = unique(((row["id"].label, row) for row in rows), "queries")
    return tuple(_asked(name, row) for name, row in by_id.items())


def read_charades_lines(path: Path) -> tuple[Asked, ...]:
    """Queries of the original Charades-STA text file; a query's id is its number among them, from 0.

    Raises:
        UserError: unreadable, a line of another form, or an interval that is none; names the line.
    """
    asked: list[Asked] = []
    for draft in charades_sta.read(path, ImportConfig(format="charades_sta")):
        place = Row(f"{path}:{draft.line}", None)
        if isinstance(draft, Fault):
            raise place.error(draft.reason)
        event = draft.events[0]
        truth = _true(place, (event.start_s, event.end_s), None)
        asked.append(Asked(str(len(asked)), draft.video, event.caption, (truth,)))
    if not asked:
        raise UserError(f"{path}: no queries; give a file that has some")
    return tuple(asked)


def same_video(named: str, video: str) -> bool:
    """Whether a prediction's name for a video means the one of the truth: `v_x.mp4` is `x`."""
    ours, theirs = stem_of(video), stem_of(named)
    return theirs in (ours, f"v_{ours}")


def _timestamp(row: Row) -> tuple[Span, ...]:
    if row.items and not isinstance(row.items[0], list):
        return (row.span,)
    return row.spans


def _asked(name: str, row: Row) -> Asked:
    duration_s = row["duration"].number if row.has("duration") else None
    truth = _true(row["timestamp"], row["timestamp"].span, duration_s)
    return Asked(name, row["image_id"].text, row["caption"].text, (truth,), duration_s)


def _true(row: Row, span: Span, duration_s: float | None) -> Span:
    start_s, end_s = span
    # Written so that a time that is no number fails, too.
    if not 0 <= start_s < end_s < float("inf"):
        raise row.error(f"[{start_s:g}, {end_s:g}] is no interval of a video", "correct the truth")
    if duration_s is not None and end_s > duration_s:
        raise row.error(f"ends at {end_s:g} s but the video lasts {duration_s:g} s", "correct the truth")
    return span
