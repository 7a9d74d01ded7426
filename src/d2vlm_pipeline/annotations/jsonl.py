"""Our own annotation format, one Sample a line, checked against the videos that are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import from_json

from d2vlm_pipeline.annotations.rejection import Rejection, RejectionCode
from d2vlm_pipeline.timeline import LineError, Sample, scan_jsonl

TOLERANCE_S = 1e-3
"""How far past the end of its clip an event may end: annotations are often rounded to milliseconds."""

_MENDS: dict[RejectionCode, str] = {
    "duplicate_id": "give every sample its own id",
    "event_past_end": "shorten the event or drop the row",
    "invalid_record": "correct the row or drop it",
    "malformed_line": "correct the line or drop it",
    "missing_video": "add the video to the data root or drop the row",
    "oversized_line": "split the file into one sample a line",
    "quarantined_video": "mend the video or drop the row",
    "query_past_end": "shorten the query interval or drop the row",
    "unknown_field": "remove the field or correct its name",
}


def read_samples(
    path: Path | str, durations: Mapping[str, float], quarantined: Mapping[str, str] | None = None
) -> tuple[list[Sample], list[Rejection]]:
    """All usable samples of a file, in its order, and what was rejected.

    Args:
        path: JSON lines, one Sample each.
        durations: seconds of every accepted video, by the name that samples use.
        quarantined: videos that are there and refused, with the reason; makes the rejection say so.

    Raises:
        UserError: no such file.
    """
    samples: list[Sample] = []
    rejections: list[Rejection] = []
    for record in iter_samples(path, durations, quarantined):
        if isinstance(record, Sample):
            samples.append(record)
        else:
            rejections.append(record)
    return samples, rejections


def iter_samples(
    path: Path | str, durations: Mapping[str, float], quarantined: Mapping[str, str] | None = None
) -> Iterator[Sample | Rejection]:
    """Like `read_samples`, one record at a time; what it keeps is the ids in use."""
    first_lines: dict[str, int] = {}
    for line, record in scan_jsonl(path, Sample):
        if isinstance(record, LineError):
            yield _unreadable(record)
            continue
        fault = _fault(record, durations, quarantined or {}, first_lines)
        if fault is None:
            first_lines[record.id] = line
            yield record
        else:
            yield _rejection(path, line, record.video, record.id, *fault)


def _fault(
    sample: Sample,
    durations: Mapping[str, float],
    quarantined: Mapping[str, str],
    first_lines: Mapping[str, int],
) -> tuple[RejectionCode, str] | None:
    if sample.id in first_lines:
        return "duplicate_id", f"id {sample.id!r} is in use in line {first_lines[sample.id]}"
    if sample.video in quarantined:
        return "quarantined_video", f"{sample.video} is in quarantine ({quarantined[sample.video]})"
    if sample.video not in durations:
        return "missing_video", f"no video {sample.video!r}"
    duration_s = durations[sample.video]
    ends: list[tuple[RejectionCode, str, float]] = [
        ("event_past_end", "event", e.end_s) for e in sample.events
    ]
    ends += [("query_past_end", "query interval", end_s) for _, end_s in sample.query_intervals]
    for code, what, end_s in ends:
        if end_s > duration_s + TOLERANCE_S:
            return code, f"{what} ends at {end_s:g} s but {sample.video} lasts {duration_s:g} s"
    return None


def _unreadable(error: LineError) -> Rejection:
    """Rejection of a line that is no Sample; names video and id where they can still be read."""
    code, fields = _classified(error.raw)
    return _rejection(error.path, error.line, _text(fields, "video"), _text(fields, "id"), code, error.reason)


def _classified(raw: bytes) -> tuple[RejectionCode, dict[str, object]]:
    if not raw:  # the reader hands over no bytes of an over-long line
        return "oversized_line", {}
    try:
        Sample.model_validate_json(raw)
    except ValidationError as error:
        kinds = {fault["type"] for fault in error.errors(include_url=False, include_context=False)}
    if "json_invalid" in kinds:
        return "malformed_line", {}
    fields = from_json(raw)
    code: RejectionCode = "unknown_field" if "extra_forbidden" in kinds else "invalid_record"
    return code, fields if isinstance(fields, dict) else {}


def _text(fields: dict[str, object], key: str) -> str | None:
    value = fields.get(key)
    return value if isinstance(value, str) else None


def _rejection(
    path: Path | str, line: int, video: str | None, sample_id: str | None, code: RejectionCode, reason: str
) -> Rejection:
    return Rejection(
        file=str(path),
        line=line,
        video=video,
        sample_id=sample_id,
        code=code,
        reason=reason,
        mend=_MENDS[code],
    )
