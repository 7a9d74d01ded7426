"""Rendered clips on disk: rendered in worker processes, written one by one, read back as a folder."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from d2vlm_pipeline.artifacts import track
from d2vlm_pipeline.video.world.plan import ClipPlan
from d2vlm_pipeline.video.world.render import render_clip


@dataclass(frozen=True)
class ClipFolder:
    """A folder of video files and the names in it, sorted."""

    root: Path
    names: tuple[str, ...]


def render_world(plans: Sequence[ClipPlan], workers: int) -> Iterator[tuple[str, bytes]]:
    """File name and MP4 bytes of every clip, in plan order; the same bytes for any number of workers."""
    if workers <= 1:
        for plan in track(plans, "render clips", unit="clip"):
            yield plan.video, render_clip(plan)
        return
    # Spawned, not forked: a parent that has used its BLAS or decoder threads must not be copied mid-lock.
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        rendered = pool.imap(render_clip, plans, chunksize=4)
        for plan, data in track(
            zip(plans, rendered, strict=True), "render clips", total=len(plans), unit="clip"
        ):
            yield plan.video, data


def save_clips(clips: Iterable[tuple[str, bytes]], directory: Path) -> None:
    """Write each clip as it arrives; the caller publishes the directory when all are there."""
    for name, data in clips:
        (directory / name).write_bytes(data)


def load_clips(directory: Path) -> ClipFolder:
    """The folder's videos, without reading them."""
    return ClipFolder(directory, tuple(sorted(path.name for path in directory.glob("*.mp4"))))
