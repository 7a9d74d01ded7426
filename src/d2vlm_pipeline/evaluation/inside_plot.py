"""One answer from inside, as a picture: curves above, masks and what was answered under them below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from d2vlm_pipeline.evaluation.inside import EvidenceCurve, Inside
from d2vlm_pipeline.timeline import Interval, TimeBase

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _FAINT, _TRUE, _CHANGED = "#22272e", "#adb5bd", "#2f855a", "#b7791f"
_COLOURS = ("#2b6cb0", "#805ad5", "#b83280", "#c05621", "#2c7a7b")
_LINES = {"evidence": "-", "answer": "--"}
_WIDTH_IN, _CURVES_IN, _MASK_IN = 11.0, 3.2, 0.45


def draw_inside(inside: Inside, truth: Sequence[Interval] = ()) -> Figure:
    """Probability of every frame under every `<evi>`, the intervals selected, and the masked clips.

    Args:
        inside: the answer.
        truth: where the event really is, where that is known.
    """
    from matplotlib.figure import Figure

    rows = len(inside.counterfactuals)
    masks_in = _MASK_IN * max(rows, 1)
    figure = Figure(figsize=(_WIDTH_IN, _CURVES_IN + masks_in + 1.0), layout="constrained")
    curves, masks = figure.subplots(2, 1, sharex=True, height_ratios=[_CURVES_IN, masks_in])
    figure.suptitle(f"{inside.prediction.question}\n{inside.prediction.answer}", color=_INK, fontsize=11)
    _draw_curves(curves, inside, truth)
    _draw_masks(masks, inside)
    masks.set_xlabel("seconds")
    masks.set_xlim(0.0, inside.timebase.end_s)
    return figure


def _draw_curves(axes: Axes, inside: Inside, truth: Sequence[Interval]) -> None:
    counts = {"evidence": 0, "answer": 0}
    for interval in truth:
        axes.axvspan(interval.start_s, interval.end_s, ymin=0.96, color=_TRUE, linewidth=0)
    for curve in inside.curves:
        counts[curve.half] += 1
        _draw_curve(axes, curve, inside.timebase, counts[curve.half])
    if not inside.curves:
        axes.text(0.5, 0.5, "no <evi>: nothing was looked for", transform=axes.transAxes, ha="center")
    else:
        axes.legend(frameon=False, fontsize=8, loc="upper right")
    axes.set_ylim(0.0, 1.06)
    axes.set_ylabel("frame belongs, probability")


def _draw_curve(axes: Axes, curve: EvidenceCurve, timebase: TimeBase, number: int) -> None:
    colour = _COLOURS[(number - 1) % len(_COLOURS)]
    label = f"{curve.half} {number}: {curve.interval.start_s:.1f} to {curve.interval.end_s:.1f} s"
    label = f"{label}, confidence {curve.interval.confidence:.2f}"
    axes.plot(timebase.times_s, curve.belongs_T, _LINES[curve.half], color=colour, label=label, linewidth=1.5)
    if curve.half == "evidence":
        axes.axvspan(curve.interval.start_s, curve.interval.end_s, color=colour, alpha=0.12, linewidth=0)


def _draw_masks(axes: Axes, inside: Inside) -> None:
    shown_until_s = [*inside.timebase.times_s[1:], inside.timebase.end_s]
    for row, case in enumerate(inside.counterfactuals):
        colour = _FAINT if case.says_the_same else _CHANGED
        for first, last in case.runs:
            start_s = inside.timebase.times_s[first]
            axes.barh(row, shown_until_s[last] - start_s, left=start_s, height=0.8, color=colour)
        verdict = "says the same" if case.says_the_same else "says something else"
        axes.annotate(verdict, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    axes.set_yticks(
        range(len(inside.counterfactuals)), [f"masked: {case.masked}" for case in inside.counterfactuals]
    )
    axes.invert_yaxis()
