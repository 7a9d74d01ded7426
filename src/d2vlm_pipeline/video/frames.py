"""Packets → sampled RGB frames, in the calling process (`decode` puts this into a worker with limits)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from d2vlm_pipeline.timeline import SamplingPolicy, TimeBase
from d2vlm_pipeline.video.packets import PacketTable, scan_packets
from d2vlm_pipeline.video.probe import open_video, quarter_turns
from d2vlm_pipeline.video.source import DecodeLimits, video_error

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

FramesTHWC = np.ndarray
"""uint8 [T, H, W, 3], RGB."""


def sample_video(path: Path, policy: SamplingPolicy, limits: DecodeLimits) -> TimeBase:
    """Which times of a video `policy` looks at; reads packets, decodes nothing.

    Raises:
        VideoError: as `scan_packets`.
    """
    with open_video(path, limits) as (container, stream):
        table = scan_packets(path, container, stream, limits)
    return _sampled(path, table, policy)[1]


def read_frames(
    path: Path, policy: SamplingPolicy, size_px: int | None, limits: DecodeLimits
) -> tuple[FramesTHWC, TimeBase]:
    """Sampled frames of a video, uint8 [T, H, W, 3] RGB, upright, and their times.

    Args:
        path: local file.
        policy: which presentation times to sample.
        size_px: H = W = size_px (the aspect ratio is not kept); None keeps the native size.
        limits: what the video may cost.

    Raises:
        VideoError: the file is refused by the probe, needs more than `limits`, or one of the sampled frames
            cannot be decoded undamaged.
    """
    with open_video(path, limits) as (container, stream):
        table = scan_packets(path, container, stream, limits)
    chosen, timebase = _sampled(path, table, policy)
    slots = {table.shown_pts[index]: slot for slot, index in enumerate(chosen)}
    with open_video(path, limits) as (container, stream):
        frames_THWC = _decode_into(path, container, stream, table, slots, size_px, limits)
    return frames_THWC, timebase


def packet_runs(pts: list[int], keys: list[bool], wanted: Iterable[int]) -> list[tuple[int, int]]:
    """Runs [first, end) of packets, in decode order, that suffice to decode the frames at the times `wanted`.

    A frame needs its group of pictures from the keyframe on; one presented before its keyframe (open groups)
    needs the group before as well. A run starts at a keyframe and ends after the last packet that is wanted.
    """
    starts = [index for index, is_key in enumerate(keys) if is_key]
    ends = [*starts[1:], len(pts)]
    wanted = set(wanted)
    needed_end: dict[int, int] = {}
    for group, (start, end) in enumerate(zip(starts, ends, strict=True)):
        hits = [index for index in range(start, end) if pts[index] in wanted]
        if hits:
            needed_end[group] = hits[-1] + 1
            if group > 0 and any(pts[index] < pts[start] for index in hits):
                needed_end[group - 1] = start
    return _joined((starts[group], needed_end[group]) for group in sorted(needed_end))


def _joined(runs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in runs:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _sampled(path: Path, table: PacketTable, policy: SamplingPolicy) -> tuple[list[int], TimeBase]:
    try:
        return TimeBase.of_video(table.presentation_s, table.duration_s, table.fps_src, policy)
    except ValueError as error:
        raise video_error("bad_timestamps", path, str(error)) from error


def _decode_into(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    table: PacketTable,
    slots: dict[int, int],
    size_px: int | None,
    limits: DecodeLimits,
) -> FramesTHWC:
    """Decode and convert the frames presented at the keys of `slots`: [len(slots), H, W, 3]."""
    import av

    convert = _Converter(path, stream, size_px, len(slots), limits)
    missing = dict(slots)
    last_pts = table.shown_pts[0] - 1
    try:
        for frame in _decoded(container, stream, packet_runs(table.pts, table.keys, slots)):
            if frame.pts is None or frame.pts < last_pts:
                raise video_error(
                    "bad_timestamps", path, "frames and their presentation times are out of step"
                )
            last_pts = frame.pts
            slot = missing.pop(frame.pts, None)
            if slot is None:
                continue
            if frame.is_corrupt:
                raise video_error(
                    "undecodable", path, f"the frame at {_seconds(table, frame.pts)} is damaged"
                )
            convert.store(slot, frame)
    except av.error.MemoryError:
        raise video_error("memory_limit", path, "a frame needs more memory than allowed") from None
    except av.error.FFmpegError as error:
        raise video_error("undecodable", path, f"decoding fails ({error.strerror})") from None
    if missing:
        raise video_error(
            "undecodable", path, f"the frame at {_seconds(table, min(missing))} cannot be decoded"
        )
    return convert.frames_THWC


def _decoded(
    container: InputContainer, stream: VideoStream, runs: list[tuple[int, int]]
) -> Iterator[VideoFrame]:
    """Frames of the packets in `runs`; each run is drained, so that no frame of it stays in the decoder."""
    codec = stream.codec_context
    packets = (packet for packet in container.demux(stream) if packet.size)
    position = 0
    for start, end in runs:
        for packet in islice(packets, start - position, end - position):
            yield from codec.decode(packet)
        yield from codec.decode(None)
        codec.flush_buffers()
        position = end


class _Converter:
    """Frames → rows of one uint8 array [T, H, W, 3]; only sampled frames come here."""

    def __init__(
        self, path: Path, stream: VideoStream, size_px: int | None, count: int, limits: DecodeLimits
    ) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        self._path, self._size_px, self._count = path, size_px, count
        self._max_bytes = limits.max_output_mb << 20
        self._native = (stream.codec_context.width, stream.codec_context.height)
        self._reformatter = VideoReformatter()
        # Full chroma and exact rounding: colour is asked about, and the same file must give the same bytes.
        self._flags = (
            Interpolation.BILINEAR
            | Interpolation.FULL_CHR_H_INT
            | Interpolation.FULL_CHR_H_INP
            | Interpolation.ACCURATE_RND
            | Interpolation.BITEXACT
        )
        self.frames_THWC: FramesTHWC = np.empty((0, 0, 0, 3), np.uint8)

    def store(self, slot: int, frame: VideoFrame) -> None:
        width, height = (self._size_px, self._size_px) if self._size_px else self._native
        rgb = self._reformatter.reformat(
            frame, width=width, height=height, format="rgb24", interpolation=self._flags, threads=1
        )
        pixels_HWC = np.rot90(rgb.to_ndarray(), quarter_turns(frame))
        if not self.frames_THWC.size:
            self.frames_THWC = self._allocated(pixels_HWC.shape)
        if pixels_HWC.shape != self.frames_THWC.shape[1:]:
            raise video_error("undecodable", self._path, "frames change their orientation at native size")
        self.frames_THWC[slot] = pixels_HWC

    def _allocated(self, shape: tuple[int, ...]) -> FramesTHWC:
        total = self._count * int(np.prod(shape))
        if total > self._max_bytes:
            size = f"{self._count} frames of {shape[1]}x{shape[0]} pixels"
            detail = f"{size} are more than max_output_mb={self._max_bytes >> 20}"
            raise video_error("too_large", self._path, detail)
        try:
            return np.empty((self._count, *shape), np.uint8)
        except MemoryError:
            raise video_error("memory_limit", self._path, f"{total >> 20} MiB of frames do not fit") from None


def _seconds(table: PacketTable, pts: int) -> str:
    return f"{float((pts - table.shown_pts[0]) * table.time_base):.3f} s"
