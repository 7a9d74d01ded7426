"""What a video says about itself: header and packets, plus its first presented frame.

Runs in the calling process. Files of strangers go through `decode.DecodePool`, which calls this in a worker
with time and memory limits.
"""

from __future__ import annotations

from pathlib import Path

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.video.frames import VideoReading, read_video
from d2vlm_pipeline.video.source import DecodeLimits

_PROBE_PX = 16


class VideoProbe(StrictModel):
    """What is known of a video before all of it is decoded.

    Attributes:
        width, height: pixels as displayed, rotation applied.
        fps_src: average frame rate of the presented frames.
        duration_s: from the first presented frame to the end of the last one.
        start_s: container time of the first presented frame, which is zero everywhere else.
        frames: presented frames.
        rotation: counter-clockwise quarter turns that the container asks for, in degrees.
    """

    width: int
    height: int
    fps_src: float
    duration_s: float
    start_s: float
    frames: int
    codec: str
    container: str
    rotation: int


def probe_video(path: Path | str, limits: DecodeLimits | None = None) -> VideoProbe:
    """Read header and packets of a local video file and decode its first presented frame.

    Raises:
        VideoError: the file is no video that could be sampled within `limits` (default: DecodeLimits()).
    """
    policy = SamplingPolicy(max_frames=1)
    return probe_of(read_video(Path(path), policy, _PROBE_PX, limits or DecodeLimits()))


def probe_of(reading: VideoReading) -> VideoProbe:
    """The probe of a video that was read for its frames."""
    table = reading.table
    turned = reading.rotation % 180 != 0
    width, height = reading.coded_size[::-1] if turned else reading.coded_size
    return VideoProbe(
        width=width,
        height=height,
        fps_src=table.fps_src,
        duration_s=table.duration_s,
        start_s=table.start_s,
        frames=len(table.shown_pts),
        codec=reading.codec,
        container=reading.container,
        rotation=reading.rotation,
    )
