"""Our own annotation format, one Sample a line, checked against the videos that are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import from_json

from d2vlm_pipeline.annotations.rejection import MENDS, Rejection, RejectionCode
from d2vlm_pipeline.artifacts import collector_paused
from d2vlm_pipeline.timeline import LineError, Sample, scan_jsonl

TOLERANCE_S = 1e-3
"""How far past the end of its clip an event may end: annotations are often rounded to milliseconds."""

CUT = "cut_at_end"
"""What samples are counted as whose intervals were cut at the end of their video."""


def read_samples(
    path: Path | str,
    durations: Mapping[str, float],
    quarantined: Mapping[str, str] | None = None,
    overrun_s: float = 0.0,
    adjusted: Counter[str] | None = None,
) -> tuple[list[Sample], list[Rejection]]:
    """All usable samples of a file, in its order, and what was rejected.

    Args:
        path: JSON lines, one Sample each.
        durations: seconds of every accepted video, by the name that samples use.
        quarantined: videos that are there and refused, with the reason; makes the rejection say so.
        overrun_s: an interval that ends at most so far past the end of its video is cut there.
        adjusted: counts the samples that this has changed, under `CUT`.

    Raises:
        UserError: no such file.
    """
    samples: list[Sample] = []
    rejections: list[Rejection] = []
    with collector_paused():
        for record in iter_samples(path, durations, quarantined, overrun_s, adjusted):
            if isinstance(record, Sample):
                samples.append(record)
            else:
                rejections.append(record)
    return samples, rejections


def iter_samples(
    path: Path | str,
    durations: Mapping[str, float],
    quarantined: Mapping[str, str] | None = None,
    overrun_s: float = 0.0,
    adjusted: Counter[str] | None = None,
) -> Iterator[Sample | Rejection]:
    """Like `read_samples`, one record at a time; what it keeps is the ids in use."""
    first_lines: dict[str, int] = {}
    for line, record in scan_jsonl(path, Sample):
        if isinstance(record, LineError):
            yield _unreadable(record)
            continue
        sample = cut_at_end(record, durations.get(record.video), overrun_s)
        fault = _fault(sample, durations, quarantined or {}, first_lines)
        if fault is None:
            first_lines[sample.id] = line
            if adjusted is not None and sample is not record:
                adjusted[CUT] += 1
            yield sample
        else:
            yield _rejection(path, line, sample.video, sample.id, *fault)


def cut_at_end(sample: Sample, duration_s: float | None, overrun_s: float) -> Sample:
    """The sample with intervals that end up to `overrun_s` past the end of the video cut there.

    One that lies past the end altogether, or ends later still, is left as it is, to be rejected.
    """
    if duration_s is None or not any(duration_s + TOLERANCE_S < end_s for end_s in _ends(sample)):
        return sample

    def end_of(start_s: float, end_s: float) -> float:
        is_over = duration_s + TOLERANCE_S < end_s <= duration_s + overrun_s
        return duration_s if is_over and start_s < duration_s else end_s

    return sample.model_copy(
        update={
            "events": tuple(
                event.model_copy(update={"end_s": end_of(event.start_s, event.end_s)})
                for event in sample.events
            ),
            "query_intervals": tuple(
                (start_s, end_of(start_s, end_s)) for start_s, end_s in sample.query_intervals
            ),
        }
    )


def classified(raw: bytes) -> tuple[RejectionCode, str | None, str | None]:
    """Code of a line that is no Sample; its video and id where they can still be read."""
    if not raw:  # the reader hands over no bytes of an over-long line
        return "oversized_line", None, None
    try:
        Sample.model_validate_json(raw)
    except ValidationError as error:
        kinds = {fault["type"] for fault in error.errors(include_url=False, include_context=False)}
    if "json_invalid" in kinds:
        return "malformed_line", None, None
    fields = from_json(raw)
    code: RejectionCode = "unknown_field" if "extra_forbidden" in kinds else "invalid_record"
    return code, _text(fields, "video"), _text(fields, "id")


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


def _ends(sample: Sample) -> Iterator[float]:
    yield from (event.end_s for event in sample.events)
    yield from (end_s for _, end_s in sample.query_intervals)


def _unreadable(error: LineError) -> Rejection:
    """Rejection of a line that is no Sample; names video and id where they can still be read."""
    code, video, sample_id = classified(error.raw)
    return _rejection(error.path, error.line, video, sample_id, code, error.reason)


def _text(fields: object, key: str) -> str | None:
    value = fields.get(key) if isinstance(fields, dict) else None
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
        mend=MENDS[code],
    )
