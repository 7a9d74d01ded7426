"""Rows of frames for the gallery: only the clips that it shows are decoded; a row is one small picture."""

import base64
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from d2vlm_pipeline.evaluation.page.blocks import Film
from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.video import DecodeLimits, DecodePool, VideoError, VideoRow
from d2vlm_pipeline.video.worker import Job

if TYPE_CHECKING:
    from PIL import Image

CELLS = 10
"""Frames in a row."""

MOST_BYTES = 36_000
"""Of one row, before it is written as text: 120 of them are six megabytes of a page."""

_DECODED_PX = 112
# Height in pixels and quality, until a row is small enough; the last is taken as it comes.
_FINENESS = ((84, 70), (84, 45), (60, 45), (42, 30))
# Frames are looked for this many times as densely as they are shown, so that one lies near a cell's middle.
_DENSITY = 2


def films_of(
    rows: Sequence[VideoRow], limits: DecodeLimits, workers: int
) -> Iterator[tuple[str, Film | VideoError]]:
    """For every accepted video its row of frames, or why it has none.

    The k-th picture shows the clip at the middle of the k-th of `CELLS` equal stretches.
    """
    asked = [(row, _job(row, limits)) for row in rows if row.status == "ok"]
    with DecodePool(workers) as pool:
        for row, answer in pool.run(asked):
            if isinstance(answer, VideoError):
                yield row.video, answer
                continue
            reply, frames_THWC = answer
            assert frames_THWC is not None and reply.timebase is not None and row.duration_s is not None
            middles_s = (np.arange(CELLS) + 0.5) * row.duration_s / CELLS
            nearest = np.abs(np.array(reply.timebase.times_s)[:, None] - middles_s).argmin(axis=0)
            yield row.video, film(frames_THWC[nearest], _proportion(row))


def film(frames_THWC: np.ndarray, proportion: float) -> Film:
    """Frames side by side as one WebP picture, each `proportion` as wide as high.

    Busy frames are drawn coarser, so that a page of many clips stays small.
    """
    for height_px, quality in _FINENESS:
        row, data = _encoded(frames_THWC, round(height_px * proportion), height_px, quality)
        if len(data) <= MOST_BYTES:
            break
    uri = f"data:image/webp;base64,{base64.b64encode(data).decode()}"
    return Film(uri=uri, width=row.width, height=row.height)


def _encoded(
    frames_THWC: np.ndarray, width_px: int, height_px: int, quality: int
) -> tuple["Image.Image", bytes]:
    from PIL import Image

    row = Image.new("RGB", (width_px * len(frames_THWC), height_px))
    for place, frame_HWC in enumerate(frames_THWC):
        cell = Image.fromarray(frame_HWC).resize((width_px, height_px), Image.Resampling.LANCZOS)
        row.paste(cell, (place * width_px, 0))
    buffer = io.BytesIO()
    row.save(buffer, format="WEBP", quality=quality, method=4)
    return row, buffer.getvalue()


def _job(row: VideoRow, limits: DecodeLimits) -> Job:
    assert row.duration_s is not None
    count = _DENSITY * CELLS
    # A clip of any length gives so many frames; the source may have fewer.
    policy = SamplingPolicy(fps=min(max(count / row.duration_s, 1e-6), 1000.0), max_frames=count)
    return Job(op="decode", path=row.path, policy=policy, size_px=_DECODED_PX, limits=limits)


def _proportion(row: VideoRow) -> float:
    """Width over height of the video, within reason."""
    if not row.width or not row.height:
        return 1.0
    return min(max(row.width / row.height, 0.3), 2.4)
