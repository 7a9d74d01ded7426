"""Packets of a file, undecoded: which frames it presents, when, and whether it is whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice, pairwise
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING

from d2vlm_pipeline.video.opening import OpenVideo
from d2vlm_pipeline.video.source import DecodeLimits, video_error

if TYPE_CHECKING:
    from av import Packet


@dataclass(frozen=True)
class PacketTable:
    """Coded frames in decode order, with what of them is presented.

    Attributes:
        pts: presentation time of every packet in units of `time_base`, in decode order.
        keys: for every packet, whether it is a keyframe.
        places: decoding time and byte position of every keyframe, by its number in decode order.
        shown_pts: presentation times of the presented frames, increasing.
    """

    time_base: Fraction
    pts: list[int]
    keys: list[bool]
    places: dict[int, tuple[int | None, int | None]]
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


def scan_packets(video: OpenVideo) -> PacketTable:
    """Read all packets (nothing is decoded): which frames the file presents, and when.

    Frames ahead of the first keyframe and those that an edit list hides are not presented.

    Raises:
        VideoError: truncated, no_frames, bad_timestamps, too_large, too_long, undecodable.
    """
    import av

    path, stream, limits = video.path, video.stream, video.limits
    pts: list[int] = []
    keys: list[bool] = []
    places: dict[int, tuple[int | None, int | None]] = {}
    shown: list[tuple[int, int]] = []
    key_pts: int | None = None
    last_end_s = 0.0
    if video.is_indexed:
        video.refuse_others()
    try:
        for packet in video.container.demux():
            if packet.size == 0:
                continue
            last_end_s = max(last_end_s, _packet_end_s(packet))
            if packet.stream_index != stream.index:
                continue
            if packet.is_corrupt:
                raise video_error("truncated", path, f"packet {len(pts)} is cut short")
            if packet.pts is None:
                raise video_error("bad_timestamps", path, f"packet {len(pts)} has no presentation time")
            if packet.is_keyframe:
                key_pts = packet.pts if key_pts is None else key_pts
                places[len(pts)] = packet.dts, packet.pos
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
    _check_whole(video, len(pts), last_end_s)
    if stream.time_base is None or not shown:
        raise video_error("no_frames", path, "the video track presents no frame")
    _check_work(video, len(pts))
    shown_pts, end_pts = _shown_times(path, stream.time_base, sorted(shown))
    table = PacketTable(stream.time_base, pts, keys, places, shown_pts, end_pts)
    _check_length(path, table, limits)
    return table


class PacketReader:
    """Packets of the main stream by their number in decode order, forwards.

    A container with an index is sought in, at any time; another one is read through, from its beginning.
    """

    def __init__(self, video: OpenVideo, table: PacketTable) -> None:
        self._video, self._table = video, table
        self._packets = self._demuxed()
        self._position = len(table.pts) if video.is_indexed else 0

    def run(self, start: int, end: int) -> Iterator[Packet]:
        """Packets [start, end); `start` is a keyframe. Fewer where the file ends early.

        Raises:
            VideoError: bad_timestamps, where the index leads elsewhere.
        """
        if start != self._position and self._video.is_indexed:
            self._seek(start)
        yield from islice(self._packets, max(0, start - self._position), end - self._position)
        self._position = end

    def _seek(self, start: int) -> None:
        place = self._table.places[start]
        if place[0] is not None:
            self._video.container.seek(place[0], stream=self._video.stream)
            packets = self._demuxed()
            for packet in packets:  # FFmpeg may go back further than it was asked to
                if (packet.dts, packet.pos) == place:
                    self._packets, self._position = chain([packet], packets), start
                    return
        raise video_error("bad_timestamps", self._video.path, "its index does not lead to its frames")

    def _demuxed(self) -> Iterator[Packet]:
        return (packet for packet in self._video.container.demux(self._video.stream) if packet.size)


def _shown_times(path: Path, base: Fraction, shown: list[tuple[int, int]]) -> tuple[list[int], int]:
    """Presentation times of the presented frames and the end of the last one."""
    shown_pts = [time for time, _ in shown]
    gaps = [later - earlier for earlier, later in pairwise(shown_pts)]
    if gaps and min(gaps) <= 0:
        at_s = float((shown_pts[gaps.index(min(gaps))] - shown_pts[0]) * base)
        raise video_error("bad_timestamps", path, f"two frames are presented at {at_s:.3f} s")
    last_pts, last_duration = shown[-1]
    last_duration = last_duration or (median_low(gaps) if gaps else 0)
    if last_duration <= 0:
        raise video_error("bad_timestamps", path, "a single frame without a duration")
    return shown_pts, last_pts + last_duration


def _check_length(path: Path, table: PacketTable, limits: DecodeLimits) -> None:
    if table.duration_s > limits.max_duration_s:
        detail = f"{table.duration_s:.0f} s, more than max_duration_s={limits.max_duration_s:g}"
        raise video_error("too_long", path, detail)


def _check_work(video: OpenVideo, packets: int) -> None:
    """Refuse pixels × frames beyond the budget before the first of them is decoded."""
    codec = video.stream.codec_context
    gigapixels = codec.width * codec.height * packets / 1e9
    if gigapixels > video.limits.max_gigapixels:
        size = f"{packets} frames of {codec.width}x{codec.height}"
        detail = f"{size} are more than max_gigapixels={video.limits.max_gigapixels:g}"
        raise video_error("too_large", video.path, detail)


def _packet_end_s(packet: Packet) -> float:
    pts, base = packet.pts, packet.time_base
    return 0.0 if pts is None or base is None else float((pts + (packet.duration or 0)) * base)


def _check_whole(video: OpenVideo, packets: int, end_s: float) -> None:
    """Compare what was read with what the header promised.

    Raises:
        VideoError: truncated.
    """
    stream, name = video.stream, video.container.format.name
    entries = len(stream.index_entries) if video.is_indexed else 0
    if packets < entries:
        raise video_error("truncated", video.path, f"{packets} of {entries} coded frames are there")
    promised_s = 0.0
    if "matroska" in name and video.container.duration is not None:
        promised_s = video.container.duration / 1e6
    elif name == "avi" and stream.time_base is not None:
        promised_s = float(stream.frames * stream.time_base)
    # A header may round generously; a cut file misses far more than a second.
    if end_s < promised_s - max(1.0, 0.05 * promised_s):
        raise video_error("truncated", video.path, f"{end_s:.1f} of {promised_s:.1f} s are there")
