"""One annotation that is not used, and why."""

from __future__ import annotations

from typing import Literal, get_args

from d2vlm_pipeline.artifacts import StrictModel

RejectionCode = Literal[
    "ambiguous_video",
    "bad_count",
    "bad_interval",
    "bad_video_name",
    "duplicate_id",
    "duration_differs",
    "event_past_end",
    "invalid_record",
    "malformed_line",
    "missing_field",
    "missing_video",
    "not_finite",
    "outside_root",
    "oversized_line",
    "query_past_end",
    "quarantined_video",
    "split_leak",
    "unknown_field",
]
"""Why a row is rejected; the codes that quarantine reports count by."""

REJECTION_CODES: tuple[str, ...] = get_args(RejectionCode)

MENDS: dict[RejectionCode, str] = {
    "ambiguous_video": "name the file with its extension, or set data.video_pattern",
    "bad_count": "correct the row or drop it",
    "bad_interval": "correct the interval or drop the row",
    "bad_video_name": "give a file name relative to the video folder",
    "duplicate_id": "give every sample its own id",
    "duration_differs": "use the video that was annotated, or set data.duration_gap_s",
    "event_past_end": "shorten the event or drop the row",
    "invalid_record": "correct the row or drop it",
    "malformed_line": "correct the line or drop it",
    "missing_field": "add the field or drop the row",
    "missing_video": "add the video to the data root or drop the row",
    "not_finite": "give a finite number or drop the row",
    "outside_root": "move the video into the video folder and name it from there",
    "oversized_line": "split the file into one sample a line",
    "quarantined_video": "mend the video or drop the row",
    "query_past_end": "shorten the query interval or drop the row",
    "split_leak": "keep all samples of a video in one split",
    "unknown_field": "remove the field or correct its name",
}
"""What a person can do about each."""


class Rejection(StrictModel):
    """A rejected row.

    Attributes:
        file, line: where it stands, line from 1, or number of the entry where the file is one JSON value;
            line 0 where the sample did not come from a file.
        video, sample_id: what the row names, as far as it could be read.
        code: the kind of fault, to count by.
        reason, mend: what is wrong and what to do, to read.
    """

    file: str
    line: int
    video: str | None = None
    sample_id: str | None = None
    code: RejectionCode
    reason: str
    mend: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else f"{self.file}: sample {self.sample_id}"
        return f"{where}: {self.reason}; {self.mend}"
