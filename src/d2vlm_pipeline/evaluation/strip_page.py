"""Strips as a picture: one PNG page, the strips below each other."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from d2vlm_pipeline.evaluation.overlap import as_array, first_iou
from d2vlm_pipeline.evaluation.strips import Strip
from d2vlm_pipeline.timeline import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _FAINT, _LANE = "#22272e", "#7a828c", "#f1f3f5"
_COLOURS = {"question": "#805ad5", "truth": "#2f855a", "evidence": "#b7791f", "answer": "#2b6cb0"}
_VERDICTS = {None: "", True: "✓ ", False: "✗ "}

# The page is laid out in inches: names on the left, IoU on the right, the time axis between them.
_PAGE_IN, _LEFT_IN, _RIGHT_IN = 10.5, 1.0, 0.85
_AXIS_IN = _PAGE_IN - _LEFT_IN - _RIGHT_IN
_LINE_IN, _LANE_IN, _TICKS_IN, _GAP_IN = 0.2, 0.27, 0.26, 0.3
_TEXT_LINES = 3
_LETTERS_PER_LINE = 112
_SEAM_PX = 2  # white between neighbouring pictures


def render_strips(strips: Sequence[Strip], heading: str = "") -> bytes:
    """One PNG of all strips; equal strips give equal bytes.

    Raises:
        ValueError: no strips.
    """
    if not strips:
        raise ValueError("no strips to draw")
    from matplotlib import rc_context

    with rc_context({"font.family": "DejaVu Sans", "font.size": 8.0, "text.parse_math": False}):
        buffer = io.BytesIO()
        # Without the version of the library, which would make equal pictures differ.
        _draw_page(strips, heading).savefig(
            buffer, format="png", dpi=130, facecolor="white", metadata={"Software": None}
        )
    return buffer.getvalue()


def _draw_page(strips: Sequence[Strip], heading: str) -> "Figure":
    from matplotlib.figure import Figure

    head_in = 0.55 if heading else 0.2
    page_in = head_in + sum(_height_in(strip) + _GAP_IN for strip in strips)
    figure = Figure(figsize=(_PAGE_IN, page_in))
    if heading:
        figure.text(0.02, 1 - 0.28 / page_in, heading, fontsize=12, weight="bold", color=_INK, va="center")
    top_in = page_in - head_in
    for strip in strips:
        _draw_strip(figure, strip, top_in, page_in)
        top_in -= _height_in(strip) + _GAP_IN
    return figure


def _height_in(strip: Strip) -> float:
    return _TEXT_LINES * _LINE_IN + _frames_in(strip) + _lanes_in(strip) + _TICKS_IN


def _lanes_in(strip: Strip) -> float:
    """Height of the lanes; without any, the bare time axis keeps a sliver."""
    return _LANE_IN * len(strip.lanes) if strip.lanes else 0.06


def _frames_in(strip: Strip) -> float:
    """Height of the row of pictures, which together are as wide as the time axis."""
    if not strip.frames:
        return 0.0
    height, width = strip.frames[0].shape[:2]
    return _AXIS_IN / len(strip.frames) * height / width + 0.05


def _draw_strip(figure: "Figure", strip: Strip, top_in: float, page_in: float) -> None:
    def axes_below(height_in: float) -> "Axes":
        bounds = (
            _LEFT_IN / _PAGE_IN,
            (top_in - height_in) / page_in,
            _AXIS_IN / _PAGE_IN,
            height_in / page_in,
        )
        return figure.add_axes(bounds)

    _draw_texts(figure, strip, top_in, page_in)
    top_in -= _TEXT_LINES * _LINE_IN
    if strip.frames:
        _draw_frames(axes_below(_frames_in(strip) - 0.05), strip)
        top_in -= _frames_in(strip)
    _draw_lanes(axes_below(_lanes_in(strip)), strip)


def _draw_texts(figure: "Figure", strip: Strip, top_in: float, page_in: float) -> None:
    """Task and question, what is true, what was said: names right-aligned beside the time axis."""
    lines = (
        (strip.task.upper(), strip.question, _INK, "bold"),
        ("true", strip.truth_text, _COLOURS["truth"], "normal"),
        ("said", _VERDICTS[strip.is_right] + strip.answer_text, _COLOURS["answer"], "normal"),
    )
    for row, (name, text, colour, weight) in enumerate(lines):
        y = (top_in - _LINE_IN * (row + 0.4)) / page_in
        shown = textwrap.shorten(text, _LETTERS_PER_LINE, placeholder=" …")
        figure.text(
            (_LEFT_IN - 0.08) / _PAGE_IN, y, name, color=colour, weight=weight, ha="right", va="center"
        )
        figure.text(_LEFT_IN / _PAGE_IN, y, shown, color=colour, weight=weight, va="center")


def _draw_frames(axes: "Axes", strip: Strip) -> None:
    seam = np.full((strip.frames[0].shape[0], _SEAM_PX, 3), 255, dtype=np.uint8)
    row = [piece for frame in strip.frames for piece in (frame, seam)][:-1]
    axes.imshow(np.concatenate(row, axis=1), aspect="auto", interpolation="bilinear")
    axes.set_axis_off()


def _draw_lanes(axes: "Axes", strip: Strip) -> None:
    for row, (name, intervals) in enumerate(strip.lanes.items()):
        axes.barh(row, strip.duration_s, height=0.8, color=_LANE, zorder=1)
        _draw_bars(axes, row, name, intervals)
        _draw_iou(axes, row, name, strip.lanes)
    # A breath of the truth behind the other lanes: early, late or right is seen at a glance.
    for interval in strip.lanes.get("truth", ()):
        axes.axvspan(interval.start_s, interval.end_s, color=_COLOURS["truth"], alpha=0.10, lw=0, zorder=1.5)
    _draw_axis(axes, strip)


def _draw_bars(axes: "Axes", row: int, name: str, intervals: Sequence[Interval]) -> None:
    if not intervals:
        axes.annotate(
            "none", (0, row), (4, 0), textcoords="offset points", color=_FAINT, fontsize=7, va="center"
        )
    levels, depth = _levels(intervals)
    height = 0.66 / depth
    for level, interval in zip(levels, intervals, strict=True):
        y = row - 0.33 + height * (level + 0.5)
        # A hairline between levels keeps overlapping events apart.
        thickness = height - (0.06 if depth > 1 else 0.0)
        left_s, length_s = interval.start_s, interval.duration_s
        axes.barh(y, length_s, left=left_s, height=thickness, color=_COLOURS[name], lw=0, zorder=2)


def _draw_iou(axes: "Axes", row: int, name: str, lanes: Mapping[str, Sequence[Interval]]) -> None:
    """The IoU of a half's first interval, where one true interval makes it the whole story."""
    if name in ("evidence", "answer") and len(lanes.get("truth", ())) == 1 and lanes[name]:
        value = float(first_iou(as_array(lanes[name]), as_array(lanes["truth"])))
        axes.annotate(
            f"IoU {value:.2f}",
            (1.0, row),
            (6, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            color=_COLOURS[name],
            va="center",
            annotation_clip=False,
        )


def _draw_axis(axes: "Axes", strip: Strip) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_yticks(range(len(strip.lanes)), list(strip.lanes))
    axes.set_ylim(max(len(strip.lanes), 1) - 0.5, -0.5)
    axes.set_xlim(0, strip.duration_s)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=9, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} s")
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", length=2.5, color=_FAINT, labelcolor=_FAINT, labelsize=7.5)
    for label in axes.get_yticklabels():
        label.set_color(_COLOURS[label.get_text()])
    for side in axes.spines.values():
        side.set_visible(False)


def _levels(intervals: Sequence[Interval]) -> tuple[list[int], int]:
    """A level for each interval so that those of one level do not overlap, and how many levels there are."""
    free_s: list[float] = []
    levels = [0] * len(intervals)
    for index in sorted(range(len(intervals)), key=lambda k: (intervals[k].start_s, intervals[k].end_s)):
        interval = intervals[index]
        open_levels = [level for level, end_s in enumerate(free_s) if end_s <= interval.start_s]
        levels[index] = open_levels[0] if open_levels else len(free_s)
        free_s[levels[index] : levels[index] + 1] = [interval.end_s]
    return levels, max(len(free_s), 1)
