"""One annotation that is not used, and why."""

from __future__ import annotations

from typing import Literal, get_args

from d2vlm_pipeline.artifacts import StrictModel

RejectionCode = Literal[
    "duplicate_id",
    "event_past_end",
    "invalid_record",
    "malformed_line",
    "missing_video",
    "oversized_line",
    "query_past_end",
    "quarantined_video",
    "split_leak",
    "unknown_field",
]
"""Why a row is rejected; the codes that quarantine reports count by."""

REJECTION_CODES: tuple[str, ...] = get_args(RejectionCode)


class Rejection(StrictModel):
    """A rejected row.

    Attributes:
        file, line: where it stands, line from 1; line 0 where the sample did not come from a file.
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
