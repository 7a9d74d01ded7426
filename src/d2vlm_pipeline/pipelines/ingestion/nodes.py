"""Footage and annotations in; accepted videos, usable samples and a report of what was left out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from d2vlm_pipeline.annotations import build_quarantine_report, check_splits, quarantined_videos, read_samples
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.timeline import Sample, SamplingPolicy
from d2vlm_pipeline.video import DecodeLimits, VideoRow, build_video_table
from d2vlm_pipeline.video.world import ClipFolder, WorldConfig, plan_world, render_world, world_samples

logger = logging.getLogger(__name__)


def render_clips(world: WorldConfig, compute: ComputeConfig) -> Iterator[tuple[str, bytes]]:
    """The demo world's clips, rendered while they are saved."""
    return render_world(plan_world(world), compute.workers)


def annotate_clips(world: WorldConfig) -> list[Sample]:
    """The demo world's questions with their true answers."""
    return world_samples(plan_world(world), world)


def probe_videos(
    clips: ClipFolder, sampling: SamplingPolicy, limits: DecodeLimits, compute: ComputeConfig
) -> list[VideoRow]:
    """Look at every video without trusting it: accepted with its facts, or quarantined with the reason."""
    from d2vlm_pipeline.artifacts import track

    rows = build_video_table(clips.root, clips.names, limits, sampling, compute.workers)
    return list(track(rows, "probe videos", total=len(clips.names), unit="video"))


def read_annotations(path: Path, rows: list[VideoRow]) -> tuple[list[Sample], dict[str, Any]]:
    """Usable samples, and the quarantine report of videos and annotation rows."""
    durations = clip_durations(rows)
    samples, rejections = read_samples(path, durations, quarantined_videos(rows))
    digests = {row.video: str(row.digest) for row in rows if row.status == "ok"}
    samples, leaks = check_splits(samples, digests, str(path))
    report = build_quarantine_report(rows, len(samples), [*rejections, *leaks])
    logger.info(report.summary())
    return samples, {
        **report.model_dump(mode="json"),
        "video_counts": report.video_counts,
        "row_counts": report.row_counts,
    }


def clip_durations(rows: list[VideoRow]) -> dict[str, float]:
    """Seconds of every accepted video."""
    return {row.video: row.duration_s for row in rows if row.status == "ok" and row.duration_s is not None}
