"""Confidence of intervals against what they are worth: reliability, and risk against coverage."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.evaluation.bootstrap import estimate
from d2vlm_pipeline.evaluation.config import EvaluationConfig
from d2vlm_pipeline.evaluation.contributions import Contribution, ratio
from d2vlm_pipeline.evaluation.overlap import Floats, iou
from d2vlm_pipeline.evaluation.page.blocks import Block, Chart, Charts, Line, Note, Point
from d2vlm_pipeline.evaluation.page.kinds import HIT_IOU
from d2vlm_pipeline.evaluation.pairs import Pair
from d2vlm_pipeline.timeline import GROUNDED_TASKS

BINS = 15
_STEPS = 20
_LEAST_INTERVALS = 2 * BINS


Curve = tuple[tuple[Point, ...], float]
"""Points, and the number that sums them up."""


class Claims(NamedTuple):
    """Answer intervals of one system, [R]: clip, confidence, and whether it is in its place."""

    clips: tuple[str, ...]
    confidence_R: Floats
    hit_R: Floats


def confidence_charts(
    pairs: Mapping[str, Sequence[Pair]],
    models: Sequence[str],
    tones: Mapping[str, int],
    config: EvaluationConfig,
) -> tuple[Block, ...]:
    """Reliability of all answer intervals, and risk against coverage of whole answers, of the models."""
    held = {
        name: [pair for pair in pairs[name] if pair.sample.task in GROUNDED_TASKS]
        for name in tones
        if name in models and name in pairs
    }
    reliable = _lines(held, tones, claims, reliability, config)
    risky = _lines(held, tones, first_claims, risk_coverage, config)
    if not reliable:
        return (Note("Too few intervals were claimed to say anything of their confidence.", is_absence=True),)
    bins = Chart(
        title="Reliability",
        x_label="confidence (%)",
        y_label=f"in place, IoU ≥ {HIT_IOU:g} (%)",
        lines=tuple(line for line, _ in reliable),
        x_range=_zoomed(line for line, _ in reliable),
        y_range=_zoomed(line for line, _ in reliable),
        diagonal=True,
        caption=f"Every interval of an answer, in {BINS} bins of equal mass; on the dotted line confidence "
        "means what it says. ECE: "
        + ", ".join(f"{line.name} {error:.1f}" for line, error in reliable)
        + " points.",
    )
    risk = Chart(
        title="Risk and coverage",
        x_label="questions answered with an interval (%)",
        y_label="of these, wrong (%)",
        lines=tuple(line for line, _ in risky),
        x_range=(0.0, 100.0),
        y_range=(0.0, _ceiling(line for line, _ in risky)),
        filled=True,
        caption="From right to left the least confident answers are withheld. An interval for an event that "
        "does not happen is wrong; a denial is no interval. Area below: "
        + ", ".join(f"{line.name} {area:.1f}" for line, area in risky)
        + " %.",
    )
    return (Charts((bins, risk), is_wide=True),)


def claims(pairs: Sequence[Pair]) -> Claims:
    """All answer intervals; each is in its place if some true interval has enough IoU with it."""
    return _claims(pairs, None)


def first_claims(pairs: Sequence[Pair]) -> Claims:
    """The first answer interval of every question that got one."""
    return _claims(pairs, 1)


def reliability(found: Claims, questions: int, config: EvaluationConfig) -> Curve:
    """Share in place against mean confidence by bins of equal mass; and the expected calibration error."""
    order = np.argsort(found.confidence_R, kind="stable")
    points, error = [], 0.0
    for rows in np.array_split(order, BINS):
        mean = float(found.confidence_R[rows].mean())
        points.append(_share(found, rows, 100.0 * mean, found.hit_R, config))
        error += len(rows) * abs(mean - float(found.hit_R[rows].mean()))
    return tuple(points), 100.0 * error / len(order)


def risk_coverage(found: Claims, questions: int, config: EvaluationConfig) -> Curve:
    """Share that is wrong among the most confident, for more and more of them; and its mean over coverage."""
    order = np.argsort(-found.confidence_R, kind="stable")
    counts = sorted({max(1, round(len(order) * (step + 1) / _STEPS)) for step in range(_STEPS)})
    points = tuple(
        _share(found, order[:count], 100.0 * count / questions, 1.0 - found.hit_R, config) for count in counts
    )
    running_risk = np.cumsum(1.0 - found.hit_R[order]) / np.arange(1, len(order) + 1)
    return points, 100.0 * float(running_risk.mean())


def _lines(
    pairs: Mapping[str, Sequence[Pair]],
    tones: Mapping[str, int],
    claims_of: Callable[[Sequence[Pair]], Claims],
    curve_of: Callable[[Claims, int, EvaluationConfig], Curve],
    config: EvaluationConfig,
) -> list[tuple[Line, float]]:
    """A line for every system with enough claims, and the number that sums it up."""
    lines = []
    for name, of_system in pairs.items():
        found = claims_of(of_system)
        if len(found.clips) >= _LEAST_INTERVALS:
            points, summary = curve_of(found, len(of_system), config)
            lines.append((Line(name, tones[name], points), summary))
    return lines


def _zoomed(lines: Iterable[Line]) -> tuple[float, float]:
    """The upper end of percent, down to a ten below every point: confident systems fill one corner."""
    least = min(min(p.x, p.y if p.low is None else p.low) for line in lines for p in line.points)
    return 10.0 * math.floor(min(least, 90.0) / 10.0), 100.0


def _ceiling(lines: Iterable[Line]) -> float:
    """The lower end of percent, up to a ten above every point."""
    most = max(p.y if p.high is None else p.high for line in lines for p in line.points)
    return 10.0 * math.ceil(max(most, 10.0) / 10.0)


def _claims(pairs: Sequence[Pair], at_most: int | None) -> Claims:
    clips: list[str] = []
    confidences: list[float] = []
    hits: list[float] = []
    for pair in pairs:
        if pair.prediction is None or not pair.parsed:
            continue
        said = pair.prediction.answer_intervals[:at_most]
        best_P = iou(pair.intervals_P2("answer"), pair.truth_G2).max(axis=1, initial=0.0)[: len(said)]
        clips += [pair.sample.video] * len(said)
        confidences += [interval.confidence for interval in said]
        hits += [float(best >= HIT_IOU) for best in best_P]
    return Claims(tuple(clips), np.array(confidences), np.array(hits))


def _share(
    found: Claims, rows: NDArray[np.intp], x: float, values_R: Floats, config: EvaluationConfig
) -> Point:
    """Mean of values over some of the claims, with its interval over clips."""
    stats_RS = np.stack([values_R[rows], np.ones(len(rows))], axis=1)
    part = Contribution(tuple(found.clips[row] for row in rows), stats_RS, ratio, unparsed=0)
    seed = derive_seed(config.seed, "page", "confidence")
    value, low, high = (100.0 * share for share in estimate(part, config.resamples, config.confidence, seed))
    return Point(x, value, low, high, f"n {len(rows)}")
