"""Is an interval as often right as it is sure?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.evaluation.overlap import Floats, reaches
from d2vlm_pipeline.evaluation.pairs import Half, Pair
from d2vlm_pipeline.evaluation.studies.config import CalibrationConfig
from d2vlm_pipeline.evaluation.studies.estimates import Drawing, mean_figure, statistic_figures
from d2vlm_pipeline.evaluation.studies.records import Curve, Figure, Point, Study, Unit
from d2vlm_pipeline.evaluation.studies.reliability import (
    FITS,
    calibration_error,
    equal_mass_bins,
    expected_error_by_chance,
)
from d2vlm_pipeline.timeline import GROUNDED_TASKS

_CHANCE_DRAWS = 200


class Intervals(NamedTuple):
    """Predicted intervals: clip, confidence and IoU with the true interval that each fits best."""

    clips: tuple[str, ...]
    confidence_R: Floats
    iou_R: Floats


def predicted_intervals(pairs: Sequence[Pair], half: Half) -> Intervals:
    """All intervals of one half of the parsed answers to grounded tasks; of an absent event none is right."""
    rows = []
    for pair in pairs:
        if pair.prediction is None or not pair.parsed or pair.sample.task not in GROUNDED_TASKS:
            continue
        said = pair.prediction.evidence if half == "evidence" else pair.prediction.answer_intervals
        for guess in said:
            best = max((guess.interval.iou(true) for true in pair.sample.intervals), default=0.0)
            rows.append((pair.sample.video, guess.confidence, best))
    return Intervals(
        tuple(row[0] for row in rows), np.array([row[1] for row in rows]), np.array([row[2] for row in rows])
    )


def study_calibration(
    fit_on: Sequence[Pair], judge_on: Sequence[Pair], config: CalibrationConfig, drawing: Drawing
) -> Study:
    """Reliability before and after a calibrator that saw `fit_on` alone."""
    fitted, judged = predicted_intervals(fit_on, "answer"), predicted_intervals(judge_on, "answer")
    hit_R, raw_R = _hits(judged, config), judged.confidence_R
    calibrated_R = _calibrated(fitted.confidence_R, _hits(fitted, config), raw_R, config)
    expected_R = _calibrated(fitted.confidence_R, fitted.iou_R, raw_R, config)
    figures = (
        _answer_figures(judged, hit_R, calibrated_R, config, drawing)
        | _errors("ece_iou", "ECE against IoU", judged, expected_R, judged.iou_R, config, drawing)
        | _evidence_figures(fit_on, judge_on, config, drawing)
    )
    sides = {"before": raw_R, "after": calibrated_R}
    curves = {
        name: _curve(f"{name} calibration", side_R, hit_R, config)
        for name, side_R in sides.items()
        if side_R is not None and judged.clips
    }
    return Study(
        title="Calibration",
        definition=(
            "Confidence p_g of every predicted interval of grounded tasks against whether its IoU with the "
            f"true interval it fits best is at least {config.hit_iou:g}; of an absent event none is right. "
            f"ECE over {config.bins} bins of equal mass. The calibrator ({config.calibrator}) is fitted on "
            f"the split {config.split} alone. `ece_iou`: the same against the IoU itself."
        ),
        headline="ece_before" if calibrated_R is None else "ece_after",
        clips=len({pair.sample.video for pair in judge_on}),
        figures=figures,
        curves=curves,
        notes=(
            f"The calibrator saw {len(fitted.clips)} intervals of {len(set(fitted.clips))} clips"
            + ("." if len(fitted.clips) else ": there is none."),
            "ECE is never 0 in a finite sample: `ece_by_chance` is what perfectly calibrated confidences of "
            "the same spread and number show; for the same reason redrawn clips show more than the value.",
        ),
    )


def _hits(found: Intervals, config: CalibrationConfig) -> Floats:
    return reaches(found.iou_R, (config.hit_iou,))[..., 0].astype(np.float64)


def _calibrated(
    fit_R: Floats, outcome_R: Floats, confidence_R: Floats, config: CalibrationConfig
) -> Floats | None:
    """Confidences through a calibrator; None without anything to fit it on."""
    return FITS[config.calibrator](fit_R, outcome_R)(confidence_R) if len(fit_R) else None


def _answer_figures(
    judged: Intervals, hit_R: Floats, calibrated_R: Floats | None, config: CalibrationConfig, drawing: Drawing
) -> dict[str, Figure]:
    clips = judged.clips
    figures = _errors("ece", "ECE", judged, calibrated_R, hit_R, config, drawing)
    if calibrated_R is not None and clips:
        seed = derive_seed(drawing.seed, "calibration by chance")
        chance = expected_error_by_chance(calibrated_R, config.bins, _CHANCE_DRAWS, seed)
        figures["ece_by_chance"] = Figure(
            title="ECE of a perfectly calibrated model in so small a sample",
            value=round(100.0 * chance, 4),
            n=len(clips),
        )
    return figures | {
        "confidence": mean_figure("mean confidence", clips, judged.confidence_R, drawing),
        "hits": mean_figure("intervals that are right", clips, hit_R, drawing),
    }


def _evidence_figures(
    fit_on: Sequence[Pair], judge_on: Sequence[Pair], config: CalibrationConfig, drawing: Drawing
) -> dict[str, Figure]:
    fitted, judged = predicted_intervals(fit_on, "evidence"), predicted_intervals(judge_on, "evidence")
    raw_R, hits_R = judged.confidence_R, _hits(judged, config)
    after_R = _calibrated(fitted.confidence_R, _hits(fitted, config), raw_R, config)
    return _errors("ece_evi", "ECE of the evidence half", judged, after_R, hits_R, config, drawing)


def _errors(
    name: str,
    title: str,
    judged: Intervals,
    after_R: Floats | None,
    outcome_R: Floats,
    config: CalibrationConfig,
    drawing: Drawing,
) -> dict[str, Figure]:
    """ECE before and, where there is a calibrator, after calibration, and the gain."""

    def errors(rows: NDArray[np.intp]) -> list[float]:
        sides = [judged.confidence_R] if after_R is None else [judged.confidence_R, after_R]
        found = [calibration_error(each[rows], outcome_R[rows], config.bins) for each in sides]
        return found if after_R is None else [*found, found[0] - found[1]]

    titles: dict[str, tuple[str, Unit]] = {f"{name}_before": (f"{title} before calibration", "percent")}
    if after_R is not None:
        titles[f"{name}_after"] = (f"{title} after calibration", "percent")
        titles[f"{name}_gain"] = (f"{title} before less after", "points")
    found = statistic_figures(list(titles.values()), judged.clips, errors, drawing)
    return dict(zip(titles, found, strict=True))


def _curve(title: str, confidence_R: Floats, hit_R: Floats, config: CalibrationConfig) -> Curve:
    """One point a bin, with the Wilson interval of its share of hits."""
    points = []
    for sure, right, count in zip(*equal_mass_bins(confidence_R, hit_R, config.bins), strict=True):
        low, high = _wilson(float(right), float(count))
        points.append(
            Point(x=round(100.0 * sure, 4), y=round(100.0 * right, 4), low=low, high=high, n=round(count))
        )
    return Curve(
        title=title,
        x="confidence (%)",
        y=f"intervals with IoU ≥ {config.hit_iou:g} (%)",
        panel="reliability",
        diagonal=True,
        points=tuple(points),
    )


def _wilson(share: float, count: float) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927), in percent: a bin holds too few clips to draw them again."""
    z = 1.959964
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    spread = z / (1 + z * z / count) * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5
    return round(100.0 * (middle - spread), 4), round(100.0 * (middle + spread), 4)
