"""Timeline strips: what was asked, when it truly happens, and when each half of the answer says so."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from d2vlm_pipeline.artifacts import UserError, derive_seed
from d2vlm_pipeline.evaluation.pairs import Pair, match_predictions
from d2vlm_pipeline.timeline import EVI, Interval, Prediction, Sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Frame = NDArray[np.uint8]
"""One picture, [H, W, 3]."""

_INK, _FAINT, _LANE = "#22272e", "#7a828c", "#f1f3f5"
_COLOURS = {"truth": "#2f855a", "evidence": "#b7791f", "answer": "#2b6cb0", "question": "#805ad5"}
_WIDTH_IN, _LANE_IN, _TITLE_IN, _AXIS_IN, _GAP_IN = 10.0, 0.3, 0.62, 0.26, 0.22
_MARGIN_IN = 0.95  # room for lane names on the left
_LETTERS_PER_LINE = 116


@dataclass(frozen=True)
class Strip:
    """One question on one clip.

    Attributes:
        title: the question, times written out.
        truth_text, answer_text: what should have been said, and what was.
        lanes: lane name (`question`, `truth`, `evidence`, `answer`) to its intervals, top to bottom.
        frames: pictures at equal distances over the clip, maybe none.
    """

    title: str
    truth_text: str
    answer_text: str
    duration_s: float
    lanes: Mapping[str, Sequence[Interval]]
    frames: Sequence[Frame] = ()


def choose_strips(
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    durations: Mapping[str, float],
    count: int = 6,
    seed: int = 0,
    frames: Mapping[str, Sequence[Frame]] | None = None,
) -> list[Strip]:
    """Strips of `count` seeded samples: the tasks take turns, and no clip comes twice while others wait.

    Samples are drawn whatever their score: the picture shows what the system does, not its best.

    Raises:
        UserError: predictions that do not belong to the samples, or a clip without duration.
    """
    pairs = [pair for pair in match_predictions(samples, predictions) if pair.prediction is not None]
    pictures = frames or {}
    return [
        strip_of(pair, durations, pictures.get(pair.sample.video, ())) for pair in _draw(pairs, count, seed)
    ]


def strip_of(pair: Pair, durations: Mapping[str, float], frames: Sequence[Frame] = ()) -> Strip:
    """The strip of one sample and its prediction."""
    sample, prediction = pair
    if sample.video not in durations:
        raise UserError(f"sample {sample.id}: no duration for {sample.video}; ingest the video first")
    lanes: dict[str, Sequence[Interval]] = {"question": sample.query_spans} if sample.query_spans else {}
    lanes |= {
        "truth": sample.intervals,
        "evidence": prediction.evidence if prediction else (),
        "answer": prediction.answer_intervals if prediction else (),
    }
    return Strip(
        title=f"{sample.task.upper()}   {_with_times(sample.question, sample.query_spans)}",
        truth_text=_with_times(sample.answer, sample.intervals),
        answer_text=prediction.answer if prediction else "(no prediction)",
        duration_s=durations[sample.video],
        lanes=lanes,
        frames=frames,
    )


def render_strips(strips: Sequence[Strip], heading: str = "") -> bytes:
    """One PNG, the strips below each other; equal strips give equal bytes.

    Raises:
        ValueError: no strips.
    """
    if not strips:
        raise ValueError("no strips to draw")
    from matplotlib import rc_context

    with rc_context({"font.family": "DejaVu Sans", "font.size": 8.0, "text.parse_math": False}):
        figure = _draw_page(strips, heading)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=130, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def _draw(pairs: Sequence[Pair], count: int, seed: int) -> list[Pair]:
    """Tasks in turn; within a task by seeded order, clips not shown yet first."""
    waiting: dict[str, list[Pair]] = {}
    for pair in sorted(pairs, key=lambda pair: derive_seed(seed, "strips", pair.sample.id)):
        waiting.setdefault(pair.sample.task, []).append(pair)
    chosen: list[Pair] = []
    while len(chosen) < count and any(waiting.values()):
        for task in sorted(task for task in waiting if waiting[task]):
            seen = {pair.sample.video for pair in chosen}
            fresh = [pair for pair in waiting[task] if pair.sample.video not in seen]
            pick = (fresh or waiting[task])[0]
            waiting[task].remove(pick)
            chosen.append(pick)
    return chosen[:count]


def _with_times(text: str, spans: Sequence[Interval]) -> str:
    head, *rest = text.split(EVI)
    return head + "".join(
        f"{span.start_s:.1f} - {span.end_s:.1f} s{tail}" for span, tail in zip(spans, rest, strict=True)
    )


def _draw_page(strips: Sequence[Strip], heading: str) -> "Figure":
    from matplotlib.figure import Figure

    head_in = 0.5 if heading else 0.15
    heights_in = [_height_in(strip) for strip in strips]
    page_in = head_in + sum(heights_in) + _GAP_IN * len(strips)
    figure = Figure(figsize=(_WIDTH_IN, page_in))
    if heading:
        figure.text(0.02, 1 - 0.28 / page_in, heading, fontsize=12, weight="bold", color=_INK, va="center")
    top_in = page_in - head_in
    for strip, height_in in zip(strips, heights_in, strict=True):
        _draw_strip(figure, strip, top_in, page_in)
        top_in -= height_in + _GAP_IN
    return figure


def _height_in(strip: Strip) -> float:
    return _TITLE_IN + _frames_in(strip) + _LANE_IN * len(strip.lanes) + _AXIS_IN


def _frames_in(strip: Strip) -> float:
    """Height of the row of pictures: as wide together as the time axis."""
    if not len(strip.frames):
        return 0.0
    height, width = strip.frames[0].shape[:2]
    return (_WIDTH_IN - _MARGIN_IN - 0.2) / len(strip.frames) * height / width + 0.04


def _draw_strip(figure: "Figure", strip: Strip, top_in: float, page_in: float) -> None:
    left, width = _MARGIN_IN / _WIDTH_IN, 1 - (_MARGIN_IN + 0.2) / _WIDTH_IN
    _draw_texts(figure, strip, top_in, page_in)
    top_in -= _TITLE_IN
    frames_in = _frames_in(strip)
    if frames_in:
        _draw_frames(
            figure.add_axes(
                (left, (top_in - frames_in + 0.04) / page_in, width, (frames_in - 0.04) / page_in)
            ),
            strip,
        )
        top_in -= frames_in
    lanes_in = _LANE_IN * len(strip.lanes)
    _draw_lanes(figure.add_axes((left, (top_in - lanes_in) / page_in, width, lanes_in / page_in)), strip)


def _draw_texts(figure: "Figure", strip: Strip, top_in: float, page_in: float) -> None:
    lines = [
        (strip.title, _INK, "bold", 8.6),
        (f"truth: {strip.truth_text}", _COLOURS["truth"], "normal", 8.0),
        (f"said: {strip.answer_text}", _COLOURS["answer"], "normal", 8.0),
    ]
    for row, (text, colour, weight, size) in enumerate(lines):
        shown = textwrap.shorten(text, _LETTERS_PER_LINE, placeholder=" …")
        figure.text(
            0.02,
            (top_in - 0.09 - 0.18 * row) / page_in,
            shown,
            color=colour,
            weight=weight,
            fontsize=size,
            va="center",
        )


def _draw_frames(axes: "Axes", strip: Strip) -> None:
    axes.imshow(np.concatenate(list(strip.frames), axis=1), aspect="auto", interpolation="bilinear")
    axes.set_axis_off()


def _draw_lanes(axes: "Axes", strip: Strip) -> None:
    for row, (name, intervals) in enumerate(strip.lanes.items()):
        axes.barh(row, strip.duration_s, height=0.78, color=_LANE, zorder=1)
        for interval in intervals:
            axes.barh(
                row,
                interval.duration_s,
                left=interval.start_s,
                height=0.62,
                color=_COLOURS[name],
                alpha=0.85,
                zorder=2,
            )
    axes.set_yticks(range(len(strip.lanes)), list(strip.lanes))
    for label in axes.get_yticklabels():
        label.set_color(_COLOURS[label.get_text()])
    axes.set_ylim(len(strip.lanes) - 0.5, -0.5)
    axes.set_xlim(0, strip.duration_s)
    axes.tick_params(axis="both", length=0, labelcolor=_FAINT)
    axes.tick_params(axis="x", length=2, color=_FAINT)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} s")
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
