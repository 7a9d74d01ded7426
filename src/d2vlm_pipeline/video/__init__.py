"""Video files, untrusted: probe, sandboxed decoding, frame sampling, and the table of what was accepted."""

from d2vlm_pipeline.video.decode import DecodePool, decode_frames, decode_many
from d2vlm_pipeline.video.probe import VideoProbe, probe_video
from d2vlm_pipeline.video.source import (
    VIDEO_REASONS,
    DecodeLimits,
    VideoError,
    VideoReason,
    resolve_video,
)
from d2vlm_pipeline.video.table import VideoRow, build_video_table

__all__ = [
    "VIDEO_REASONS",
    "DecodeLimits",
    "DecodePool",
    "VideoError",
    "VideoProbe",
    "VideoReason",
    "VideoRow",
    "build_video_table",
    "decode_frames",
    "decode_many",
    "probe_video",
    "resolve_video",
]
