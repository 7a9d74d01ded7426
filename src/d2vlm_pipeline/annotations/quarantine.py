"""What the run went on without: videos and rows, with reasons and counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from d2vlm_pipeline.annotations.rejection import Rejection
from d2vlm_pipeline.artifacts import StrictModel, canonical_json
from d2vlm_pipeline.video.table import VideoRow


class QuarantinedVideo(StrictModel):
    """A refused video: `reason` is the code to count by, `detail` the line to read."""

    video: str
    path: str
    reason: str
    detail: str


class QuarantineReport(StrictModel):
    """Everything that was left out, beside how much there was (the denominators).

    ``adjusted`` counts samples that were kept with a change, by what was changed.
    """

    videos_total: int
    rows_total: int
    videos: tuple[QuarantinedVideo, ...] = ()
    rows: tuple[Rejection, ...] = ()
    adjusted: dict[str, int] = Field(default_factory=dict)

    @property
    def video_counts(self) -> dict[str, int]:
        """Refused videos per reason, by name of the reason."""
        return dict(sorted(Counter(video.reason for video in self.videos).items()))

    @property
    def row_counts(self) -> dict[str, int]:
        """Rejected rows per code, by name of the code."""
        return dict(sorted(Counter(row.code for row in self.rows).items()))

    def record(self) -> dict[str, Any]:
        """Plain values with the counts; nothing is said of adjustments where there were none."""
        counts = {"video_counts": self.video_counts, "row_counts": self.row_counts}
        left_out = None if self.adjusted else {"adjusted"}
        return {**self.model_dump(mode="json", exclude=left_out), **counts}

    def to_json(self) -> str:
        """Canonical JSON with the counts: equal reports give equal bytes."""
        return canonical_json(self.record())

    def summary(self) -> str:
        """One line for the person at the terminal."""
        videos = _share(len(self.videos), self.videos_total, "videos", self.video_counts)
        rows = _share(len(self.rows), self.rows_total, "rows", self.row_counts)
        changed = ", ".join(f"{what} {count}" for what, count in self.adjusted.items())
        return f"quarantine: {videos}; {rows}" + (f"; adjusted: {changed}" if changed else "")


def quarantined_videos(rows: Iterable[VideoRow]) -> dict[str, str]:
    """Reason by name of the videos that have no accepted row; what `read_samples` takes."""
    rows = list(rows)
    accepted = {row.video for row in rows if row.status == "ok"}
    return {row.video: row.reason or "" for row in rows if row.status != "ok" and row.video not in accepted}


def build_quarantine_report(
    video_rows: Iterable[VideoRow],
    samples_kept: int,
    rejections: Iterable[Rejection],
    adjusted: Mapping[str, int] | None = None,
) -> QuarantineReport:
    """Report over one ingestion.

    Args:
        video_rows: the whole video table.
        samples_kept: how many samples are used.
        rejections: of all files and checks.
        adjusted: samples kept with a change, by what was changed.
    """
    video_rows, rejections = list(video_rows), tuple(rejections)
    return QuarantineReport(
        videos_total=len(video_rows),
        rows_total=samples_kept + len(rejections),
        videos=tuple(_quarantined(row) for row in video_rows if row.status != "ok"),
        rows=rejections,
        adjusted=dict(sorted((adjusted or {}).items())),
    )


def _quarantined(row: VideoRow) -> QuarantinedVideo:
    return QuarantinedVideo(video=row.video, path=row.path, reason=row.reason or "unknown", detail=row.detail)


def _share(count: int, total: int, what: str, counts: dict[str, int]) -> str:
    reasons = ", ".join(f"{reason} {n}" for reason, n in counts.items())
    return f"{count} of {total} {what}" + (f" ({reasons})" if reasons else "")
