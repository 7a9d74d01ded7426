"""QVHighlights' annotations and submissions: JSON lines, or a JSON list as TimeChat writes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from d2vlm_pipeline.evaluation.benchmarks.files import Row, load_lines, load_list, unique
from d2vlm_pipeline.evaluation.benchmarks.qvhighlights.rules import ANNOTATORS, CLIP_S
from d2vlm_pipeline.evaluation.benchmarks.records import Files, Span
from d2vlm_pipeline.evaluation.overlap import Floats

_WINDOWS, _SALIENCY = "pred_relevant_windows", "pred_saliency_scores"
_LONGEST_S = 1e5


@dataclass(frozen=True, eq=False)
class Asked:
    """A query of the truth.

    Attributes:
        windows_G2: what it asks for, seconds; `spans` are the same.
        ratings_CA: what each annotator thought of each clip of two seconds, 0 to 4.
    """

    id: str
    video: str
    question: str
    duration_s: float
    windows_G2: Floats
    spans: tuple[Span, ...]
    ratings_CA: NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Said:
    """A line of a submission.

    Attributes:
        windows_P3: start, end, score; None where the submission is about highlights alone. `spans` are the
            same without score.
        saliency_C: a score for each clip; None where it is about moments alone. `is_flat` says whether no
            clip is preferred to another.
        place: of the line in its file, for errors.
    """

    id: str
    video: str | None
    windows_P3: Floats | None
    spans: tuple[Span, ...]
    saliency_C: Floats | None
    is_flat: bool
    place: str

    def windows(self) -> Floats:
        """Windows of a submission that has them, [P, 3]."""
        assert self.windows_P3 is not None
        return self.windows_P3

    def saliency(self) -> Floats:
        """Clip scores of a submission that has them, [C]."""
        assert self.saliency_C is not None
        return self.saliency_C


@dataclass(frozen=True, eq=False)
class Submission:
    """Queries, and the lines of the submission in their order; all have windows or none, so for saliency."""

    asked: tuple[Asked, ...]
    said: tuple[Said, ...]

    @property
    def has_windows(self) -> bool:
        """Whether it is about moments."""
        return self.said[0].windows_P3 is not None

    @property
    def has_saliency(self) -> bool:
        """Whether it is about highlights."""
        return self.said[0].saliency_C is not None


def read(files: Files) -> Submission:
    """Truth and submission.

    Raises:
        UserError: unreadable, or of another form; names file and line.
    """
    (truth,) = files.truths
    rows = unique(((row["qid"].label, row) for row in _load(truth)), "queries")
    asked = tuple(_asked(name, row) for name, row in rows.items())
    lines = _load(files.predictions)
    keys = [key for key in (_WINDOWS, _SALIENCY) if lines[0].has(key)]
    if not keys:
        raise lines[0].error(f"neither {_WINDOWS} nor {_SALIENCY}", "give a submission for QVHighlights")
    return Submission(asked, tuple(_said(row, keys) for row in lines))


def _load(path: Path) -> list[Row]:
    is_list = path.is_file() and path.open("rb").read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
    return load_list(path) if is_list else load_lines(path)


def _asked(name: str, row: Row) -> Asked:
    duration_s = row["duration"].number
    if not CLIP_S <= duration_s <= _LONGEST_S:
        raise row["duration"].error(f"{duration_s:g} s are no length of a video", "correct the truth")
    spans = _true_spans(row, duration_s)
    return Asked(
        id=name,
        video=row["vid"].text,
        question=row["query"].text,
        duration_s=duration_s,
        windows_G2=np.array(spans),
        spans=spans,
        ratings_CA=_ratings(row),
    )


def _true_spans(row: Row, duration_s: float) -> tuple[Span, ...]:
    windows = row["relevant_windows"]
    for part in windows.parts:
        start_s, end_s = part.span
        if not 0 <= start_s < end_s <= duration_s:
            raise part.error(
                f"[{start_s:g}, {end_s:g}] is no interval of a video of {duration_s:g} s", "correct the truth"
            )
    if not windows.items:
        raise windows.error("no window", "a query without moment cannot be scored; drop it")
    return windows.spans


def _ratings(row: Row) -> NDArray[np.int8]:
    """Ratings of all clips; those that are not named have 0."""
    clips = [part.integer for part in row["relevant_clip_ids"].parts]
    ratings = [_three_ratings(part) for part in row["saliency_scores"].parts]
    count = int(row["duration"].number / CLIP_S)
    if len(clips) != len(ratings):
        what = f"{len(clips)} relevant_clip_ids but {len(ratings)} saliency_scores"
        raise row.error(what, "correct the truth")
    for clip in clips:
        if not 0 <= clip < count:
            raise row["relevant_clip_ids"].error(f"no clip {clip} among {count}", "correct the truth")
    ratings_CA = np.zeros((count, ANNOTATORS), dtype=np.int8)
    if clips:
        ratings_CA[clips] = ratings
    return ratings_CA


def _three_ratings(row: Row) -> list[int]:
    ratings = row.items
    are_ratings = all(type(rating) is int and 0 <= rating <= 4 for rating in ratings)
    if len(ratings) != ANNOTATORS or not are_ratings:
        raise row.error(f"expected {ANNOTATORS} ratings from 0 to 4", "correct the truth")
    return ratings


def _said(row: Row, keys: list[str]) -> Said:
    for key in (_WINDOWS, _SALIENCY):
        if row.has(key) != (key in keys):
            raise row.error(
                f"{'no ' if key in keys else ''}{key}, unlike the first line",
                "all lines have it or none; write [] where nothing was found",
            )
    windows = _windows(row[_WINDOWS]) if _WINDOWS in keys else []
    scores = row[_SALIENCY].numbers if _SALIENCY in keys else []
    return Said(
        id=row["qid"].label,
        video=row["vid"].text if row.has("vid") else None,
        windows_P3=np.array(windows, dtype=np.float64).reshape(-1, 3) if _WINDOWS in keys else None,
        spans=tuple((start_s, end_s) for start_s, end_s, _ in windows),
        saliency_C=np.array(scores, dtype=np.float64) if _SALIENCY in keys else None,
        is_flat=all(score == scores[0] for score in scores),
        place=row.place,
    )


def _windows(row: Row) -> list[list[float]]:
    windows = []
    for part in row.parts:
        windows.append(part.numbers)
        if len(windows[-1]) != 3:
            raise part.error("expected [start, end, score]")
    return windows
