"""Answers as pictures: a row of frames, and below it true and claimed intervals on the clip's time."""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from d2vlm_pipeline.evaluation.page.blocks import Film
from d2vlm_pipeline.evaluation.page.gallery import with_times
from d2vlm_pipeline.evaluation.pairs import Pair
from d2vlm_pipeline.timeline import GROUNDED_TASKS, TASKS, Interval

_WIDTH_PX = 960
_LABEL_PX = 90
_LANE_PX = 18
_TEXT_PX = 14
_PER_LINE = 120
_INK, _PAPER, _RAIL = (30, 30, 30), (255, 255, 255), (235, 235, 235)
_TONES = {"truth": (46, 125, 50), "evidence": (230, 145, 20), "answer": (25, 90, 200)}


def chosen_pairs(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """Up to `count` answered samples, of every grounded task the first by id, then the second …"""
    queues = [
        sorted((p for p in pairs if p.sample.task == task and p.prediction), key=lambda p: p.sample.id)
        for task in TASKS
        if task in GROUNDED_TASKS
    ]
    turns = [queue[turn] for turn in range(count) for queue in queues if turn < len(queue)]
    return turns[:count]


def strip(pair: Pair, duration_s: float, film: Film) -> bytes:
    """One answer as PNG, 960 pixels wide; equal inputs give equal bytes."""
    sample, prediction = pair
    assert prediction is not None
    row = Image.open(io.BytesIO(base64.b64decode(film.uri.partition(",")[2]))).convert("RGB")
    width = _WIDTH_PX - _LABEL_PX
    row = row.resize((width, round(row.height * width / row.width)), Image.Resampling.LANCZOS)
    lines = [
        *_wrapped("asked", with_times(sample.question, sample.query_spans)),
        *_wrapped("true", with_times(sample.answer, sample.intervals)),
        *_wrapped("said", prediction.answer or f"(unparsed) {prediction.raw}"),
    ]
    lanes: dict[str, Sequence[Interval]] = {
        "truth": sample.intervals,
        "evidence": prediction.evidence,
        "answer": prediction.answer_intervals,
    }
    height = row.height + len(lanes) * _LANE_PX + (_TEXT_PX + 4) * (len(lines) + 1) + 8
    canvas = Image.new("RGB", (_WIDTH_PX, height), _PAPER)
    canvas.paste(row, (_LABEL_PX, 0))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(_TEXT_PX)
    top = row.height
    for name, intervals in lanes.items():
        pen.text((4, top + 1), name, _INK, font)
        pen.rectangle((_LABEL_PX, top + 3, _WIDTH_PX - 1, top + _LANE_PX - 3), _RAIL)
        for interval in intervals:
            left, right = (_LABEL_PX + min(t / duration_s, 1.0) * (width - 1) for t in _ends(interval))
            pen.rectangle((left, top + 3, max(right, left + 1), top + _LANE_PX - 3), _TONES[name])
        top += _LANE_PX
    pen.text((_LABEL_PX, top), "0 s", _INK, font)
    pen.text((_WIDTH_PX - 4, top), f"{duration_s:.1f} s", _INK, font, anchor="ra")
    for line in lines:
        top += _TEXT_PX + 4
        pen.text((4, top), line, _INK, font)
    return _png(canvas)


def save_strips(strips: Mapping[str, bytes], directory: Path) -> None:
    """Write pictures by name into an empty directory."""
    for name, data in strips.items():
        (directory / f"{name}.png").write_bytes(data)


def load_strips(directory: Path) -> dict[str, bytes]:
    """The pictures of a directory by name."""
    return {path.stem: path.read_bytes() for path in sorted(directory.glob("*.png"))}


def _ends(interval: Interval) -> tuple[float, float]:
    return interval.start_s, interval.end_s


def _wrapped(label: str, text: str) -> list[str]:
    # What a model says may hold line breaks, and may be long.
    found = textwrap.wrap(" ".join(text.split()), _PER_LINE)[:3] or ["(nothing)"]
    return [f"{label}: {found[0]}", *(f"    {line}" for line in found[1:])]


def _png(canvas: Image.Image) -> bytes:
    buffer = io.BytesIO()
    canvas.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
