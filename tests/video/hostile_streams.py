"""Streams that are unusual or excessive, made by encoders: good ones are read, the others refused by name."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from PIL import Image

from video.clips import AVI, OPEN_GROUPS, steady_ms, write_clip
from video.hostile import Ground, case, content, patched
from video.hostile_files import huge_png

Output = av.container.OutputContainer
Encode = Callable[[], None]

TENTH = Fraction(1, 10)
HOUR_MS = 3_600_000


def clip(name: str, verdict: str, times_ms: list[int], **arguments: Any) -> None:
    """Register a clip of `write_clip`."""
    case(name, verdict)(lambda ground, path: (write_clip(path, times_ms, **arguments), None)[1])


# Times.
clip("starts_late.mp4", "ok", steady_ms(20, start_ms=90_000))
clip("variable_rate.mp4", "ok", [0, 40, 80, 900, 940, 1700, 4000, 4040])
clip("one_frame.mp4", "ok", [0])
clip("two_hours_apart.mp4", "ok", [0, 2 * HOUR_MS])
clip("ten_hours.mp4", "too_long", [0, 5 * HOUR_MS, 10 * HOUR_MS])
clip("no_duration.ts", "ok", steady_ms(30))
clip("no_times.h264", "not_a_video", steady_ms(30), time_base=TENTH)
REORDERED = AVI | {"codec": "libx264", "options": {"bf": "3", "preset": "medium"}}
clip("reordered.avi", "bad_timestamps", steady_ms(40), **REORDERED)
clip("open_groups.mkv", "ok", steady_ms(40), options=OPEN_GROUPS, gop=6)
clip("one_group.mp4", "ok", steady_ms(60), gop=1000)
clip("fragments.mp4", "ok", steady_ms(40), container={"movflags": "frag_keyframe+empty_moov"})
clip("a_thousand_a_second.mov", "ok", list(range(120)))

# Pictures.
clip("one_pixel.mkv", "ok", steady_ms(8), size=(1, 1), codec="ffv1", pix_fmt="yuv444p")
clip("flat.mp4", "ok", steady_ms(8), size=(1024, 2))
clip("tall.mp4", "ok", steady_ms(8), size=(2, 1024))
clip("interlaced.mp4", "ok", steady_ms(20), options={"x264-params": "tff=1"})
clip("turned_90.mp4", "ok", steady_ms(10), rotation=90)
clip("turned_180.mp4", "ok", steady_ms(10), rotation=180)
clip("turned_270.mov", "ok", steady_ms(10), rotation=-90)
clip("ten_bits.mp4", "ok", steady_ms(10), pix_fmt="yuv420p10le")
clip("full_chroma.mp4", "ok", steady_ms(10), pix_fmt="yuv444p")

# Codecs.
clip("ffv1.mkv", "ok", steady_ms(10), codec="ffv1")
clip("hevc.mp4", "ok", steady_ms(20), codec="libx265", options={"x265-params": "log-level=none"})
clip("vp8.webm", "ok", steady_ms(10), codec="libvpx")
clip("vp9.webm", "ok", steady_ms(10), codec="libvpx-vp9", options={"deadline": "realtime"})
clip("av1.mkv", "ok", steady_ms(10), codec="libsvtav1", options={"preset": "12", "svtav1-params": "lp=1"})
clip("mpeg2.mpg", "ok", steady_ms(20), codec="mpeg2video", time_base=Fraction(1, 25))
clip("mpeg4.avi", "ok", steady_ms(20), **AVI)
clip("mjpeg.avi", "ok", steady_ms(10), codec="mjpeg", time_base=TENTH, pix_fmt="yuvj420p")
clip("prores.mov", "ok", steady_ms(5), codec="prores_ks", pix_fmt="yuv422p10le")
clip("uncompressed.avi", "ok", steady_ms(10), codec="rawvideo", time_base=TENTH)


Track = Callable[[Output], Encode]


def muxed(
    path: Path, *tracks: Track, metadata: dict[str, str] | None = None, form: str | None = None
) -> None:
    """Write a container by hand: all tracks are announced before the first is filled."""
    with av.open(str(path), "w", format=form) as output:
        output.metadata.update(metadata or {})
        fillers = [track(output) for track in tracks]
        output.start_encoding()
        for fill in fillers:
            fill()


def sound(output: Output) -> Encode:
    """A tenth of a second of silence."""
    stream = output.add_stream("pcm_s16le", rate=8000, layout="mono")

    def fill() -> None:
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 8000, 0, Fraction(1, 8000)
        output.mux(stream.encode(frame))
        output.mux(stream.encode())

    return fill


def pictures(count: int, disposition: Disposition | None = None) -> Track:
    """A video track of `count` pictures."""

    def track(output: Output) -> Encode:
        stream = output.add_stream("mjpeg", rate=10, width=64, height=48, pix_fmt="yuvj420p")
        if disposition is not None:
            stream.disposition = disposition

        def fill() -> None:
            for index in range(count):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 9 * index, np.uint8), format="rgb24")
                frame.pts, frame.time_base = index, TENTH
                output.mux(stream.encode(frame))
            output.mux(stream.encode())

        return fill

    return track


def by_hand(name: str, verdict: str, *tracks: Track, **arguments: Any) -> None:
    """Register a container of `muxed`."""
    case(name, verdict)(lambda ground, path: muxed(path, *tracks, **arguments))


METADATA = {"comment": "lorem ipsum " * 700_000, "title": "\x1b[2J../../etc/passwd"}

by_hand("sound_alone.mkv", "no_video_stream", sound)
by_hand("many_streams.mkv", "too_large", pictures(5), *[sound] * 80)
by_hand("two_videos.mkv", "ok", pictures(5), pictures(8))
by_hand("no_frames.avi", "no_frames", pictures(0))
by_hand("no_frames.mkv", "not_a_video", pictures(0))
by_hand("cover.mp4", "no_video_stream", sound, pictures(1, Disposition.attached_pic), form="mov")
by_hand("huge_metadata.mkv", "ok", pictures(5), metadata=METADATA)



def jpeg(width: int, height: int) -> bytes:
    """A grey picture."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), (90, 90, 90)).save(out, "JPEG", quality=20)
    return out.getvalue()


def motion_jpeg(path: Path, size: tuple[int, int], coded: Sequence[bytes]) -> None:
    """Coded pictures, whose true sizes the header need not give."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mjpeg", rate=10, width=size[0], height=size[1], pix_fmt="yuvj420p")
        output.start_encoding()
        for index, picture in enumerate(coded):
            packet = av.Packet(picture)
            packet.stream, packet.time_base, packet.is_keyframe = stream, TENTH, True
            packet.pts = packet.dts = index
            packet.duration = 1
            output.mux(packet)


@case("many_large_frames.avi", "too_large")
def _bomb(ground: Ground, path: Path) -> None:
    motion_jpeg(path, (4096, 2304), [jpeg(4096, 2304)] * 500)


@case("announces_16k.avi", "ok")
def _announces(ground: Ground, path: Path) -> None:
    motion_jpeg(path, (64, 48), [jpeg(64, 48)] * 5)
    side = (16384).to_bytes(4, "little")
    path.write_bytes(patched(path.read_bytes(), b"strf", 8, side * 2))


@case("grows_to_16k.avi", "undecodable")
def _grows(ground: Ground, path: Path) -> None:
    small = jpeg(64, 48)
    at = small.index(b"\xff\xc0") + 5
    motion_jpeg(path, (64, 48), [small[:at] + b"\x40\x00\x40\x00" + small[at + 4 :]] * 5)


@case("true_16k.avi", "too_large")
def _true_16k(ground: Ground, path: Path) -> None:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("png", rate=10, width=16000, height=16000, pix_fmt="monob")
        output.start_encoding()
        packet = av.Packet(huge_png(16000))
        packet.stream, packet.time_base, packet.is_keyframe = stream, TENTH, True
        packet.pts, packet.dts, packet.duration = 0, 0, 1
        output.mux(packet)


def vp8_of_16k(ground: Ground) -> bytes:
    """An IVF file whose one keyframe says 16383 x 16383."""
    side = (16383).to_bytes(2, "little")
    picture = b"\x10\x02\x00" + b"\x9d\x01\x2a" + side + side + bytes(64)
    head = b"DKIF" + bytes(2) + b"\x20\x00" + b"VP80" + side + side
    rate = (10).to_bytes(4, "little") + (1).to_bytes(4, "little") + (1).to_bytes(4, "little") + bytes(4)
    return head + rate + len(picture).to_bytes(4, "little") + bytes(8) + picture


content("vp8_of_16k.ivf", "too_large", vp8_of_16k)
content("vp8_of_16k.mp4", "too_large", vp8_of_16k)


@case("changes_size.avi", "ok")
def _changes_size(ground: Ground, path: Path) -> None:
    motion_jpeg(path, (64, 48), [jpeg(64, 48)] * 3 + [jpeg(128, 96)] * 3)


@case("joined_recordings.ts", "truncated")
def _changes(ground: Ground, path: Path) -> None:
    first, second = (path.with_name(f"part{i}.ts") for i in range(2))
    write_clip(first, steady_ms(16))
    write_clip(second, steady_ms(16, start_ms=1600), size=(128, 96))
    path.write_bytes(first.read_bytes() + second.read_bytes())
    first.unlink()
    second.unlink()


@case("fragment_ahead_of_the_file.mp4", "undecodable")
def _negative(ground: Ground, path: Path) -> None:
    write_clip(path, steady_ms(40), container={"movflags": "frag_keyframe+empty_moov"})
    path.write_bytes(patched(path.read_bytes(), b"tfhd", 8, b"\xff", 1))


@case("cut_stream.ts", "ok")
def _cut_stream(ground: Ground, path: Path) -> None:
    write_clip(path, steady_ms(40))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3 // 188 * 188])


@case("cut_cluster.mkv", "truncated")
def _cut_cluster(ground: Ground, path: Path) -> None:
    write_clip(path, steady_ms(200))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
