"""Small real H.264 files whose frames carry their own number in picture."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BITS = 8
MILLISECOND = Fraction(1, 1000)


def numbered_frame(number: int, width: int, height: int) -> np.ndarray:
    """Eight vertical stripes, red where the bit of `number` is set, blue elsewhere; uint8 [H, W, 3]."""
    frame_HWC = np.zeros((height, width, 3), np.uint8)
    for bit in range(BITS):
        left, right = bit * width // BITS, (bit + 1) * width // BITS
        frame_HWC[:, left:right] = (220, 30, 30) if number >> bit & 1 else (30, 30, 220)
    return frame_HWC


def number_of(frame_HWC: np.ndarray) -> int:
    """Inverse of `numbered_frame`, at any size."""
    height, width, _ = frame_HWC.shape
    centres = [(2 * bit + 1) * width // (2 * BITS) for bit in range(BITS)]
    return sum(
        (int(frame_HWC[height // 2, x, 0]) > int(frame_HWC[height // 2, x, 2])) << bit
        for bit, x in enumerate(centres)
    )


def numbers_of(frames_THWC: np.ndarray) -> list[int]:
    return [number_of(frame_HWC) for frame_HWC in frames_THWC]


def write_clip(
    path: Path,
    times_ms: Sequence[int],
    *,
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    gop: int = 8,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    rotation: int = 0,
    time_base: Fraction = MILLISECOND,
    pix_fmt: str = "yuv420p",
) -> Path:
    """Encode frames 0, 1, 2 … presented at `times_ms`; `gop` frames to a keyframe."""
    presets = {"preset": "ultrafast", "crf": "18", "threads": "1"} if codec == "libx264" else {}
    with av.open(str(path), "w", options=container or {}) as output:
        stream = output.add_stream(codec, rate=10)
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = stream.time_base = time_base
        stream.codec_context.gop_size = gop
        stream.options = presets | (options or {})
        if rotation:
            stream.set_display_rotation(rotation)
        for number, time_ms in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number, *size), format="rgb24")
            frame.pts, frame.time_base = round(time_ms * MILLISECOND / time_base), time_base
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def steady_ms(count: int, fps: int = 10, start_ms: int = 0) -> list[int]:
    """Presentation times of a constant frame rate."""
    return [start_ms + 1000 * index // fps for index in range(count)]


def truncate(path: Path, share: float, target: Path) -> Path:
    """The first `share` of a file."""
    data = path.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target


def damaged(path: Path, target: Path) -> Path:
    """A copy with a third of the coded picture data overwritten; its index stays whole."""
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 1200
    end = start + (len(data) - start) // 3
    data[start:end] = bytes((7 * i + 3) % 256 for i in range(end - start))
    target.write_bytes(data)
    return target


AVI = {"codec": "mpeg4", "time_base": Fraction(1, 10)}
"""`write_clip` arguments for AVI, which counts frames instead of storing times."""
OPEN_GROUPS = {"preset": "medium", "x264-params": "bframes=3:open-gop=1:b-adapt=0:scenecut=0"}
"""x264 options for B-frames that reach across keyframes."""
FASTSTART = {"movflags": "faststart"}
"""MP4 with its index ahead of the frames."""
