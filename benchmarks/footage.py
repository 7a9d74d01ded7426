"""Clips to time decoders on: textured, panned, with moving patches and sensor noise; H.264 with B-frames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

FPS = 30
KEYFRAME_EVERY = 60
_PAN_PX = 96
_PATCHES = 24


def write_footage(folder: Path, height: int, seconds: int) -> Path:
    """A clip of 16:9 at FPS, a keyframe every KEYFRAME_EVERY frames; kept if it is there already."""
    import av

    path = folder / f"{height}p-{seconds}s.mp4"
    if path.exists():
        return path
    width = height * 16 // 9 // 2 * 2
    part = path.with_suffix(".part.mp4")
    with av.open(str(part), "w", options={"movflags": "faststart"}) as output:
        stream = output.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size = KEYFRAME_EVERY
        stream.options = {
            "preset": "faster",
            "crf": "25",
            "threads": "2",
            "x264-params": f"keyint={KEYFRAME_EVERY}:min-keyint={KEYFRAME_EVERY}:scenecut=0:bframes=3",
        }
        for number, pixels_HWC in enumerate(_frames(width, height, seconds * FPS)):
            frame = av.VideoFrame.from_ndarray(pixels_HWC, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return part.replace(path)


def _frames(width: int, height: int, count: int) -> Iterator[np.ndarray]:
    """Frames uint8 [H, W, 3]; no sum of the parts exceeds 255."""
    rng = np.random.default_rng(height)
    ground = _texture(rng, height + 2 * _PAN_PX, width + 2 * _PAN_PX)
    noise = rng.integers(0, 4, (height + 64, width + 64, 3), np.uint8)
    side = height // 6
    patches = [_texture(rng, side, side) for _ in range(_PATCHES)]
    speeds = rng.uniform(0.01, 0.05, (_PATCHES, 2))
    phases = rng.uniform(0, 2 * math.pi, (_PATCHES, 2))
    for number in range(count):
        top = _PAN_PX + round(_PAN_PX * math.sin(number / 23))
        left = _PAN_PX + round(_PAN_PX * math.sin(number / 37))
        frame_HWC = ground[top : top + height, left : left + width].copy()
        for patch_HWC, speed, phase in zip(patches, speeds, phases, strict=True):
            y, x = (1 + np.sin(speed * number + phase)) / 2 * (height - side, width - side)
            frame_HWC[int(y) : int(y) + side, int(x) : int(x) + side] = patch_HWC
        dy, dx = rng.integers(0, 64, 2)
        yield frame_HWC + noise[dy : dy + height, dx : dx + width]


def _texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Noise of several sizes of grain, uint8 [H, W, 3] below 250."""
    total = np.zeros((height, width, 3), np.float32)
    for grain in (96, 32, 8, 3):
        shape = (height // grain + 2, width // grain + 2, 3)
        coarse = rng.uniform(0, 60, shape).astype(np.float32)
        total += coarse.repeat(grain, 0).repeat(grain, 1)[:height, :width]
    return total.astype(np.uint8)
