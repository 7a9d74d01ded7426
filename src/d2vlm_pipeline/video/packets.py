"""Packets of a file, undecoded: which frames it presents, when, and whether it is whole."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING

from d2vlm_pipeline.video.source import DecodeLimits, video_error

if TYPE_CHECKING:
    from av import Packet
    from av.container import InputContainer
    from av.video.stream import VideoStream


@dataclass(frozen=True)
class PacketTable:
    """Coded frames in decode order, with what of them is presented.

    Attributes:
        pts: presentation time of every packet in units of `time_base`, in decode order.
        keys: for every packet, whether it is a keyframe.
        shown_pts: presentation times of the presented frames, increasing.
    """

    time_base: Fraction
    pts: list[int]
    keys: list[bool]
    shown_pts: list[int]
    end_pts: int

    @property
    def start_s(self) -> float:
        """Container time of the first presented frame."""
        return float(self.shown_pts[0] * self.time_base)

    @property
    def duration_s(self) -> float:
        """Seconds from the first presented frame to the end of the last."""
        return float((self.end_pts - self.shown_pts[0]) * self.time_base)

    @property
    def fps_src(self) -> float:
        """Average rate over the gaps between frames; of a single frame, one per clip duration."""
        gaps = len(self.shown_pts) - 1
        if gaps == 0:
            return 1.0 / self.duration_s
        return float(gaps / ((self.shown_pts[-1] - self.shown_pts[0]) * self.time_base))

    @property
    def presentation_s(self) -> list[float]:
        """Times of the presented frames, first one 0, each the float nearest to the exact quotient."""
        first, base = self.shown_pts[0], self.time_base
        # Integer true division rounds once, like k / fps: a frame at a target time compares equal to it.
        return [(pts - first) * base.numerator / base.denominator for pts in self.shown_pts]


def scan_packets(
    path: Path, container: InputContainer, stream: VideoStream, limits: DecodeLimits
) -> PacketTable:
    """Read all packets (nothing is decoded): which frames the file presents, and when.

    Frames ahead of the first keyframe and those that an edit list hides are not presented.

    Raises:
        VideoError: truncated, no_frames, bad_timestamps, too_long, undecodable.
    """
    import av

    pts: list[int] = []
    keys: list[bool] = []
    shown: list[tuple[int, int]] = []
    key_pts: int | None = None
    last_end_s = 0.0
    try:
        for packet in container.demux():
            if packet.size == 0:
                continue
            last_end_s = max(last_end_s, _packet_end_s(packet))
            if packet.stream_index != stream.index:
                continue
            if packet.is_corrupt:
                raise video_error("truncated", path, f"packet {len(pts)} is cut short")
            if packet.pts is None:
                raise video_error("bad_timestamps", path, f"packet {len(pts)} has no presentation time")
            if key_pts is None and packet.is_keyframe:
                key_pts = packet.pts
            pts.append(packet.pts)
            keys.append(packet.is_keyframe)
            if key_pts is not None and packet.pts >= key_pts and not packet.is_discard:
                shown.append((packet.pts, packet.duration or 0))
            if len(pts) > limits.max_packets:
                raise video_error(
                    "too_long", path, f"more than max_packets={limits.max_packets} coded frames"
                )
    except av.error.FFmpegError as error:
        raise video_error(
            "undecodable", path, f"reading stops after {len(pts)} packets ({error.strerror})"
        ) from None
    _check_whole(path, container, stream, len(pts), last_end_s)
    if stream.time_base is None or not shown:
        raise video_error("no_frames", path, "the video track presents no frame")
    return _table(path, stream.time_base, pts, keys, sorted(shown), limits)


def _table(
    path: Path,
    base: Fraction,
    pts: list[int],
    keys: list[bool],
    shown: list[tuple[int, int]],
    limits: DecodeLimits,
) -> PacketTable:
    shown_pts = [time for time, _ in shown]
    gaps = [later - earlier for earlier, later in pairwise(shown_pts)]
    if gaps and min(gaps) <= 0:
        at_s = float((shown_pts[gaps.index(min(gaps))] - shown_pts[0]) * base)
        raise video_error("bad_timestamps", path, f"two frames are presented at {at_s:.3f} s")
    last_pts, last_duration = shown[-1]
    last_duration = last_duration or (median_low(gaps) if gaps else 0)
    if last_duration <= 0:
        raise video_error("bad_timestamps", path, "a single frame without a duration")
    table = PacketTable(base, pts, keys, shown_pts, last_pts + last_duration)
    if table.duration_s > limits.max_duration_s:
        detail = f"{table.duration_s:.0f} s, more than max_duration_s={limits.max_duration_s:g}"
        raise video_error("too_long", path, detail)
    return table


def _packet_end_s(packet: Packet) -> float:
    pts, base = packet.pts, packet.time_base
    return 0.0 if pts is None or base is None else float((pts + (packet.duration or 0)) * base)


def _check_whole(
    path: Path, container: InputContainer, stream: VideoStream, packets: int, end_s: float
) -> None:
    """Compare what was read with what the header promised.

    Raises:
        VideoError: truncated.
    """
    name = container.format.name
    entries = len(stream.index_entries) if "mp4" in name else 0
    if packets < entries:
        raise video_error("truncated", path, f"{packets} of {entries} coded frames are there")
    promised_s = 0.0
    if "matroska" in name and container.duration is not None:
        promised_s = container.duration / 1e6
    elif name == "avi" and stream.time_base is not None:
        promised_s = float(stream.frames * stream.time_base)
    # A header may round generously; a cut file misses far more than a second.
    if end_s < promised_s - max(1.0, 0.05 * promised_s):
        raise video_error("truncated", path, f"{end_s:.1f} of {promised_s:.1f} s are there")
