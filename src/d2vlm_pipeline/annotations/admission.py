"""Raw samples and a video table in; the samples that can be used, and a report of everything else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from d2vlm_pipeline.annotations.config import DataConfig
from d2vlm_pipeline.annotations.importing import ImportedRow
from d2vlm_pipeline.annotations.jsonl import read_samples
from d2vlm_pipeline.annotations.origins import Origins
from d2vlm_pipeline.annotations.quarantine import (
    QuarantineReport,
    build_quarantine_report,
    quarantined_videos,
)
from d2vlm_pipeline.annotations.splits import check_splits
from d2vlm_pipeline.timeline import Sample
from d2vlm_pipeline.video import VideoRow


def admit_samples(
    path: Path, videos: Sequence[VideoRow], imported: Iterable[ImportedRow], data: DataConfig
) -> tuple[list[Sample], QuarantineReport]:
    """Hold every sample against its video and its split.

    Args:
        path: JSON lines, one sample each.
        videos: the whole video table.
        imported: what became of the rows of other formats that the samples came from.
        data: how far times may be off.

    Raises:
        UserError: no such file.
    """
    durations, origins = durations_of(videos), Origins(imported)
    adjusted: Counter[str] = Counter()
    samples, rejections = read_samples(path, durations, quarantined_videos(videos), data.overrun_s, adjusted)
    samples, differing = origins.same_length(samples, durations, data.duration_gap_s)
    digests = {row.video: str(row.digest) for row in videos if row.status == "ok"}
    samples, leaks = check_splits(samples, digests, str(path))
    if data.source == "folder":
        # What is trained and asked must not depend on how somebody's file happens to be sorted.
        samples = sorted(samples, key=lambda sample: (sample.video, sample.id))
    adjusted.update(origins.notes(samples))
    left_out = [*origins.rejections, *origins.located(rejections), *differing, *origins.located(leaks)]
    return samples, build_quarantine_report(videos, len(samples), left_out, adjusted)


def durations_of(videos: Iterable[VideoRow]) -> dict[str, float]:
    """Seconds of every accepted video, by name."""
    return {row.video: row.duration_s for row in videos if row.status == "ok" and row.duration_s is not None}
