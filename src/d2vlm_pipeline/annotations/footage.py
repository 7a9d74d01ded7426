"""Samples held against their footage: what only both tables together can show."""

from __future__ import annotations

from collections.abc import Iterable

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.timeline import Sample
from d2vlm_pipeline.video import VideoRow
from d2vlm_pipeline.video.fingerprints import Fingerprinted, Twin, find_twins


class FootageCheck(StrictModel):
    """What the samples of one split say of one video, beside what the video is.

    Attributes:
        video, split: one row for each pair of them that occurs.
        samples: how many there are.
        digest, duration_s: of the accepted file; None where there is none.
        first_s, latest_s: the earliest start and the latest end of an event or a query interval.
        latest_sample: the sample that reaches furthest.
        twin, twin_split: footage of another split that looks the same, if there is some.
        twin_share: share of the compared frames that agree.
    """

    video: str
    split: str
    samples: int
    digest: str | None
    duration_s: float | None
    first_s: float | None
    latest_s: float | None
    latest_sample: str
    twin: str | None = None
    twin_split: str | None = None
    twin_share: float | None = None


def check_footage(samples: Iterable[Sample], rows: Iterable[VideoRow]) -> list[FootageCheck]:
    """One row for every video and split, in that order."""
    accepted = {row.video: row for row in rows if row.status == "ok"}
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.video, sample.split), []).append(sample)
    twins = find_twins(
        Fingerprinted(video, split, accepted[video].fingerprint)
        for video, split in sorted(groups)
        if video in accepted
    )
    return [_checked(key, groups[key], accepted.get(key[0]), twins.get(key)) for key in sorted(groups)]


def _checked(
    key: tuple[str, str], samples: list[Sample], row: VideoRow | None, twin: Twin | None
) -> FootageCheck:
    reach = [(_latest_s(sample), sample.id) for sample in samples]
    latest_s, latest_sample = max(reach)
    starts = [event.start_s for sample in samples for event in sample.events]
    starts += [start_s for sample in samples for start_s, _ in sample.query_intervals]
    return FootageCheck(
        video=key[0],
        split=key[1],
        samples=len(samples),
        digest=row.digest if row else None,
        duration_s=row.duration_s if row else None,
        first_s=min(starts, default=None),
        latest_s=latest_s if starts else None,
        latest_sample=latest_sample,
        twin=twin.video if twin else None,
        twin_split=twin.group if twin else None,
        twin_share=twin.share if twin else None,
    )


def _latest_s(sample: Sample) -> float:
    ends = [event.end_s for event in sample.events] + [end_s for _, end_s in sample.query_intervals]
    return max(ends, default=0.0)
