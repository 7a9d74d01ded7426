"""Packets → sampled RGB frames, in the calling process (`decode` puts this into a worker with limits)."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from d2vlm_pipeline.timeline import SamplingPolicy, TimeBase
from d2vlm_pipeline.video.opening import OpenVideo, open_video
from d2vlm_pipeline.video.packets import PacketReader, PacketTable, scan_packets
from d2vlm_pipeline.video.pictures import FrameConverter, FramesTHWC
from d2vlm_pipeline.video.source import DecodeLimits, video_error

if TYPE_CHECKING:
    from av import VideoFrame

# Decoders that leave out frames no other frame refers to without a trace in the others (tests compare them).
_LEAVES_OUT = frozenset({"h264", "hevc"})


@dataclass(frozen=True)
class VideoReading:
    """What one pass over a file gave.

    Attributes:
        frames_THWC: sampled frames, upright.
        timebase: their times.
        coded_size: width and height of the first presented frame before it is turned upright.
        rotation: counter-clockwise quarter turns that show it upright, in degrees.
    """

    frames_THWC: FramesTHWC
    timebase: TimeBase
    table: PacketTable
    codec: str
    container: str
    coded_size: tuple[int, int]
    rotation: int


def sample_video(path: Path, policy: SamplingPolicy, limits: DecodeLimits) -> TimeBase:
    """Which times of a video `policy` looks at; reads packets, decodes nothing.

    Raises:
        VideoError: as `scan_packets`.
    """
    with open_video(path, limits) as video:
        return _sampled(path, scan_packets(video), policy)[1]


def read_frames(
    path: Path, policy: SamplingPolicy, size_px: int | None, limits: DecodeLimits
) -> tuple[FramesTHWC, TimeBase]:
    """Sampled frames of a video, uint8 [T, H, W, 3] RGB, upright, and their times; see `read_video`."""
    reading = read_video(path, policy, size_px, limits)
    return reading.frames_THWC, reading.timebase


def read_video(
    path: Path, policy: SamplingPolicy, size_px: int | None, limits: DecodeLimits
) -> VideoReading:
    """Sampled frames of a video, their times, and what the file says of itself.

    Args:
        path: local file.
        policy: which presentation times to sample.
        size_px: H = W = size_px (the aspect ratio is not kept); None keeps the native size.
        limits: what the video may cost.

    Raises:
        VideoError: the file is refused by the probe, needs more than `limits`, or one of the sampled frames
            cannot be decoded undamaged.
    """
    with open_video(path, limits) as video:
        table = scan_packets(video)
        chosen, timebase = _sampled(path, table, policy)
        wanted = _Wanted(table, timebase, {table.shown_pts[index]: slot for slot, index in enumerate(chosen)})
        plans = deque(_plans(table, wanted.slots))
        attempt = _attempt(video, wanted, plans.popleft(), size_px) if video.is_indexed else None
    # Opened again: without an index, a container that was read does not reliably rewind to its first packet.
    while plans and (attempt is None or attempt.missing):
        with open_video(path, limits) as video:
            attempt = _attempt(video, wanted, plans.popleft(), size_px)
    assert attempt is not None, "there is a plan for every container"
    if attempt.missing:
        first_s = _seconds(table, min(attempt.missing))
        raise video_error("undecodable", path, f"the frame at {first_s} cannot be decoded")
    return attempt.reading


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


class _Wanted(NamedTuple):
    """Frames to decode: the rows they go to, by presentation time."""

    table: PacketTable
    timebase: TimeBase
    slots: dict[int, int]


class _Attempt(NamedTuple):
    """What decoding gave, and the presentation times of the frames that did not come out."""

    reading: VideoReading
    missing: set[int]


def _plans(table: PacketTable, slots: dict[int, int]) -> Iterator[list[tuple[int, int]]]:
    """Runs of packets to decode: the least first, then everything up to the last wanted frame.

    A stream that is refreshed bit by bit marks frames as keys that give no picture for a while.
    """
    runs = packet_runs(table.pts, table.keys, slots)
    yield runs
    whole = [(table.keys.index(True), runs[-1][1])]
    if runs != whole:
        yield whole


def _attempt(
    video: OpenVideo, wanted: _Wanted, runs: list[tuple[int, int]], size_px: int | None
) -> _Attempt:
    converter = FrameConverter(video, size_px, len(wanted.slots))
    missing = _decode_into(converter, video, wanted, runs)
    reading = VideoReading(
        frames_THWC=converter.frames_THWC,
        timebase=wanted.timebase,
        table=wanted.table,
        codec=video.stream.codec_context.name,
        container=video.container.format.name,
        coded_size=converter.coded_size,
        rotation=converter.rotation,
    )
    return _Attempt(reading, missing)


def _decode_into(
    converter: FrameConverter, video: OpenVideo, wanted: _Wanted, runs: list[tuple[int, int]]
) -> set[int]:
    """Decode and convert the wanted frames; presentation times of those that did not come out."""
    import av

    path, table, missing = video.path, wanted.table, set(wanted.slots)
    last_pts = table.shown_pts[0] - 1
    try:
        for frame in _decoded(video, table, wanted.slots, runs):
            if frame.pts is None or frame.pts < last_pts:
                raise video_error(
                    "bad_timestamps", path, "frames and their presentation times are out of step"
                )
            last_pts = frame.pts
            if frame.pts not in missing:
                continue
            if frame.is_corrupt:
                raise video_error(
                    "undecodable", path, f"the frame at {_seconds(table, frame.pts)} is damaged"
                )
            missing.remove(frame.pts)
            converter.store(wanted.slots[frame.pts], frame)
    except av.error.MemoryError:
        raise video_error("memory_limit", path, "a frame needs more memory than allowed") from None
    except av.error.FFmpegError as error:
        raise video_error("undecodable", path, f"decoding fails ({error.strerror})") from None
    return missing


def _decoded(
    video: OpenVideo, table: PacketTable, wanted: Container[int], runs: list[tuple[int, int]]
) -> Iterator[VideoFrame]:
    """Frames of the runs; each run is drained, so that no frame of it stays in the decoder."""
    codec = video.stream.codec_context
    leaves_out = codec.name in _LEAVES_OUT
    reader = PacketReader(video, table)
    for start, end in runs:
        for packet in reader.run(start, end):
            if leaves_out:
                codec.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
            yield from codec.decode(packet)
        yield from codec.decode(None)
        codec.flush_buffers()


def _seconds(table: PacketTable, pts: int) -> str:
    return f"{float((pts - table.shown_pts[0]) * table.time_base):.3f} s"
