"""Decoded frames → upright RGB rows of one array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from d2vlm_pipeline.video.opening import OpenVideo
from d2vlm_pipeline.video.source import video_error

if TYPE_CHECKING:
    from av import VideoFrame

FramesTHWC = np.ndarray
"""uint8 [T, H, W, 3], RGB."""


class FrameConverter:
    """Frames → rows of one uint8 array [T, H, W, 3]; only sampled frames come here.

    Of an interlaced frame, which shows two instants, the upper field is taken, stretched to full height.

    Attributes:
        coded_size: width and height of the first stored frame before it is turned upright.
        rotation: counter-clockwise quarter turns that show it upright, in degrees.
    """

    def __init__(self, video: OpenVideo, size_px: int | None, count: int) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        codec = video.stream.codec_context
        self._path, self._count = video.path, count
        self._max_bytes = video.limits.max_output_mb << 20
        self._size = (size_px, size_px) if size_px else (codec.width, codec.height)
        self._reformatter, self._field_reformatter = VideoReformatter(), VideoReformatter()
        # Full chroma and exact rounding: colour is asked about, and the same file must give the same bytes.
        self._flags = (
            Interpolation.BILINEAR
            | Interpolation.FULL_CHR_H_INT
            | Interpolation.FULL_CHR_H_INP
            | Interpolation.ACCURATE_RND
            | Interpolation.BITEXACT
        )
        self.frames_THWC: FramesTHWC = np.empty((0, 0, 0, 3), np.uint8)
        self.coded_size, self.rotation = (0, 0), 0

    def store(self, slot: int, frame: VideoFrame) -> None:
        """Convert a frame to row `slot`.

        Raises:
            VideoError: the rows exceed the budgets, or the frame has another shape than those before.
        """
        turns, (width, height) = quarter_turns(frame), self._size
        shape = (width, height, 3) if turns % 2 else (height, width, 3)
        if not self.frames_THWC.size:
            self.frames_THWC = self._allocated(shape)
            self.coded_size, self.rotation = (frame.width, frame.height), 90 * turns
        if shape != self.frames_THWC.shape[1:]:
            raise video_error("undecodable", self._path, "frames change their orientation at native size")
        self._write(self.frames_THWC[slot], self._one_instant(frame), turns)

    def _one_instant(self, frame: VideoFrame) -> VideoFrame:
        from av import VideoFrame

        if not frame.interlaced_frame:
            return frame
        # FFmpeg converts interlaced frames field by field: no line of one gets colour of the other.
        both = self._field_reformatter.reformat(frame, format="rgb24", interpolation=self._flags, threads=1)
        upper_HWC = np.ascontiguousarray(both.to_ndarray()[::2], dtype=np.uint8)
        return VideoFrame.from_ndarray(upper_HWC, format="rgb24")

    def _write(self, row_HWC: np.ndarray, frame: VideoFrame, turns: int) -> None:
        width, height = self._size
        # Shrinking to planes takes half the time and gives the same bytes; elsewhere some would differ by 1.
        form = "gbrp" if 10 * height <= 9 * frame.height else "rgb24"
        rgb = self._reformatter.reformat(
            frame, width=width, height=height, format=form, interpolation=self._flags, threads=1
        )
        if form == "rgb24":
            row_HWC[:] = np.rot90(rgb.to_ndarray(), turns)
            return
        for channel, plane in zip((1, 2, 0), rgb.planes, strict=True):
            plane_HW = np.frombuffer(memoryview(plane), np.uint8).reshape(height, plane.line_size)[:, :width]
            row_HWC[..., channel] = np.rot90(plane_HW, turns)

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


def quarter_turns(frame: VideoFrame) -> int:
    """Counter-clockwise quarter turns, 0 … 3, that show a frame upright; odd angles are left as they are."""
    return (frame.rotation // 90) % 4 if frame.rotation % 90 == 0 else 0
