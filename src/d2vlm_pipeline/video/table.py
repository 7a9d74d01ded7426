"""The video table: every named video probed, digested, accepted or quarantined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.video.decode import DecodePool
from d2vlm_pipeline.video.fingerprints import hash_frames
from d2vlm_pipeline.video.folder import RefusedFile
from d2vlm_pipeline.video.source import DecodeLimits, VideoError, VideoReason, resolve_video, video_error
from d2vlm_pipeline.video.worker import Job, Reply


class VideoRow(StrictModel):
    """One video of the table.

    Attributes:
        video: name relative to the root; what samples call it.
        path: root / video, ready to open.
        digest: SHA-256 of the file. It and what follows up to `timebase_digest` are None in quarantine.
        start_s: container time of the first presented frame, subtracted everywhere else.
        timebase_digest: of the TimeBase that the sampling policy gives this video.
        fingerprint: hashes of frames by which copies are found (see `fingerprints`); none without `verify`.
        reason: why it is in quarantine (a code to count by); `detail` is the line to read.
    """

    video: str
    path: str
    digest: str | None = None
    duration_s: float | None = None
    fps_src: float | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    start_s: float | None = None
    timebase_digest: str | None = None
    fingerprint: tuple[str, ...] = ()
    status: Literal["ok", "quarantined"]
    reason: VideoReason | None = None
    detail: str = ""


def build_video_table(
    root: Path,
    names: Iterable[str],
    limits: DecodeLimits,
    policy: SamplingPolicy,
    workers: int,
    verify: bool = True,
) -> Iterator[VideoRow]:
    """One row per name, sorted by name, so that neither the order of `names` nor `workers` shows.

    With `verify` the frames that `policy` samples are decoded once: a video that fails or hangs half way is
    then quarantined here and not met by a later step. Without it only packets and one frame are looked at.

    A bad video gives a quarantined row, never an exception. Of a name given twice, one row is for the video
    and the others are quarantined.
    """
    with DecodePool(workers) as pool:
        for name, answer in pool.run(_jobs(root, sorted(names), limits, policy, verify)):
            path = (root / name).as_posix()
            if isinstance(answer, VideoError):
                yield VideoRow(
                    video=name, path=path, status="quarantined", reason=answer.code, detail=answer.message
                )
            else:
                yield _accepted(name, path, *answer)


def refused_row(root: Path, file: RefusedFile) -> VideoRow:
    """The row of a file that was refused before anything was opened."""
    path = (root / file.name).as_posix()
    return VideoRow(video=file.name, path=path, status="quarantined", reason=file.code, detail=file.detail)


def _jobs(
    root: Path, names: list[str], limits: DecodeLimits, policy: SamplingPolicy, verify: bool
) -> Iterator[tuple[str, Job | VideoError]]:
    previous: str | None = None
    for name in names:
        if name == previous:
            yield name, video_error("duplicate_name", name, "the name is listed more than once")
            continue
        previous = name
        try:
            path = resolve_video(root, name)
        except VideoError as error:
            yield name, error
            continue
        yield name, Job(op="inspect", path=str(path), policy=policy, verify=verify, limits=limits)


def _accepted(name: str, path: str, reply: Reply, frames_THWC: np.ndarray | None) -> VideoRow:
    probe, timebase = reply.probe, reply.timebase
    if probe is None or timebase is None or reply.digest is None:
        raise RuntimeError(f"decode worker sent an incomplete answer for {name}")
    return VideoRow(
        video=name,
        path=path,
        digest=reply.digest,
        duration_s=probe.duration_s,
        fps_src=probe.fps_src,
        width=probe.width,
        height=probe.height,
        frames=probe.frames,
        start_s=probe.start_s,
        timebase_digest=timebase.digest,
        fingerprint=() if frames_THWC is None else hash_frames(frames_THWC),
        status="ok",
    )
