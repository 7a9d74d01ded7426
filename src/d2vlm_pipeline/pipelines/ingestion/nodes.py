"""Footage and annotations in; accepted videos, usable samples and a report of what was left out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from d2vlm_pipeline.annotations import (
    DataConfig,
    FootageCheck,
    ImportedRow,
    admit_samples,
    check_footage,
    import_folder,
)
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.timeline import Sample, SamplingPolicy
from d2vlm_pipeline.video import DecodeLimits, VideoRow, build_video_table
from d2vlm_pipeline.video.folder import ClipFolder, VideoArchive, VideoFolder, open_videos
from d2vlm_pipeline.video.table import refused_row
from d2vlm_pipeline.video.world import WorldConfig, plan_world, render_world, world_samples

logger = logging.getLogger(__name__)


def provide_clips(
    data: DataConfig, world: WorldConfig, compute: ComputeConfig
) -> Iterator[tuple[str, bytes]] | VideoFolder | VideoArchive:
    """The demo world's clips, rendered while they are saved; or where your own videos lie."""
    if data.source == "world":
        return render_world(plan_world(world), compute.workers)
    return open_videos(str(data.videos), data.max_members, data.max_unpacked_mb)


def provide_annotations(
    data: DataConfig, world: WorldConfig, clips: ClipFolder
) -> tuple[list[Sample], list[ImportedRow]]:
    """The demo world's questions with their true answers; or your own, and what became of every row."""
    if data.source == "world":
        return world_samples(plan_world(world), world), []
    from d2vlm_pipeline.artifacts import collector_paused, track

    samples, rows = [], []
    with collector_paused():
        for row, sample in track(import_folder(data, clips.names), "import annotations", unit="row"):
            rows.append(row)
            if sample is not None:
                samples.append(sample)
    return samples, rows


def probe_videos(
    clips: ClipFolder, sampling: SamplingPolicy, limits: DecodeLimits, compute: ComputeConfig
) -> list[VideoRow]:
    """Look at every video without trusting it: accepted with its facts, or quarantined with the reason."""
    from d2vlm_pipeline.artifacts import track

    rows = build_video_table(clips.root, clips.names, limits, sampling, compute.workers)
    probed = list(track(rows, "probe videos", total=len(clips.names), unit="video"))
    return probed + [refused_row(clips.root, file) for file in clips.refused]


def read_annotations(
    path: Path, rows: list[VideoRow], imported: list[ImportedRow], data: DataConfig
) -> tuple[list[Sample], dict[str, Any]]:
    """Usable samples, and the quarantine report of videos and annotation rows."""
    samples, report = admit_samples(path, rows, imported, data)
    logger.info(report.summary())
    return samples, report.record()


def gate_samples(samples: list[Sample], rows: list[VideoRow]) -> tuple[list[FootageCheck], list[Sample]]:
    """Hold the samples against their footage; they go on if the guard of the first output lets it through."""
    return check_footage(samples, rows), samples
