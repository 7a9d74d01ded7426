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
    Calibrator,
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
    hit_R = _hits(judged, config)
    calibrated_R = _fit(fitted.confidence_R, _hits(fitted, config), config)(judged.confidence_R)
    expected_R = _fit(fitted.confidence_R, fitted.iou_R, config)(judged.confidence_R)
    figures = (
        _answer_figures(judged, hit_R, calibrated_R, config, drawing)
        | _iou_figures(judged, expected_R, config, drawing)
        | _evidence_figures(fit_on, judge_on, config, drawing)
    )
    curves = {
        "before": _curve("before calibration", judged.confidence_R, hit_R, config),
        "after": _curve("after calibration", calibrated_R, hit_R, config),
    }
    return Study(
        title="Calibration",
        definition=(
            "Confidence p_g of every predicted interval of grounded tasks against whether its IoU with the "
            f"true interval it fits best is at least {config.hit_iou:g}; of an absent event none is right. "
            f"ECE over {config.bins} bins of equal mass. The calibrator ({config.calibrator}) is fitted on "
            f"the split {config.split} alone. `ece_iou`: the same against the IoU itself."
        ),
        headline="ece_after",
        clips=len({pair.sample.video for pair in judge_on}),
        figures=figures,
        curves=curves,
        notes=(
            f"The calibrator saw {len(fitted.clips)} intervals of {len(set(fitted.clips))} clips.",
            "ECE is never 0 in a finite sample: `ece_by_chance` is what perfectly calibrated confidences of "
            "the same spread and number show; for the same reason redrawn clips show more than the value.",
        ),
    )


def _hits(found: Intervals, config: CalibrationConfig) -> Floats:
    return reaches(found.iou_R, (config.hit_iou,))[..., 0].astype(np.float64)


def _fit(confidence_R: Floats, outcome_R: Floats, config: CalibrationConfig) -> Calibrator:
    """A calibrator; without anything to fit it on, confidences stay as they are."""
    return FITS[config.calibrator](confidence_R, outcome_R) if len(confidence_R) else lambda same: same


def _answer_figures(
    judged: Intervals, hit_R: Floats, calibrated_R: Floats, config: CalibrationConfig, drawing: Drawing
) -> dict[str, Figure]:
    before_R, clips, bins = judged.confidence_R, judged.clips, config.bins

    def gain(rows: NDArray[np.intp]) -> list[float]:
        errors = (calibration_error(each[rows], hit_R[rows], bins) for each in (before_R, calibrated_R))
        return [next(errors) - next(errors)]

    (gained,) = statistic_figures([("ECE before less after", "points")], clips, gain, drawing)
    seed = derive_seed(drawing.seed, "calibration by chance")
    chance = expected_error_by_chance(calibrated_R, bins, _CHANCE_DRAWS, seed) if clips else None
    before, after = _errors("ECE", clips, before_R, calibrated_R, hit_R, bins, drawing)
    return {
        "ece_before": before,
        "ece_after": after,
        "ece_gain": gained,
        "ece_by_chance": Figure(
            title="ECE of a perfectly calibrated model in so small a sample",
            value=None if chance is None else round(100.0 * chance, 4),
            n=len(clips),
        ),
        "confidence": mean_figure("mean confidence", clips, before_R, drawing),
        "hits": mean_figure("intervals that are right", clips, hit_R, drawing),
    }


def _iou_figures(
    judged: Intervals, expected_R: Floats, config: CalibrationConfig, drawing: Drawing
) -> dict[str, Figure]:
    clips, raw_R, iou_R = judged.clips, judged.confidence_R, judged.iou_R
    before, after = _errors("ECE against IoU", clips, raw_R, expected_R, iou_R, config.bins, drawing)
    return {"ece_iou_before": before, "ece_iou_after": after}


def _evidence_figures(
    fit_on: Sequence[Pair], judge_on: Sequence[Pair], config: CalibrationConfig, drawing: Drawing
) -> dict[str, Figure]:
    fitted, judged = predicted_intervals(fit_on, "evidence"), predicted_intervals(judge_on, "evidence")
    hit_R, raw_R = _hits(judged, config), judged.confidence_R
    calibrated_R = _fit(fitted.confidence_R, _hits(fitted, config), config)(raw_R)
    before, after = _errors(
        "ECE of the evidence half", judged.clips, raw_R, calibrated_R, hit_R, config.bins, drawing
    )
    return {"ece_before_evi": before, "ece_after_evi": after}


def _errors(
    title: str,
    clips: Sequence[str],
    before_R: Floats,
    after_R: Floats,
    outcome_R: Floats,
    bins: int,
    drawing: Drawing,
) -> list[Figure]:
    """ECE before and after calibration."""

    def errors(rows: NDArray[np.intp]) -> list[float]:
        return [calibration_error(each[rows], outcome_R[rows], bins) for each in (before_R, after_R)]

    titles: list[tuple[str, Unit]] = [
        (f"{title} before calibration", "percent"),
        (f"{title} after calibration", "percent"),
    ]
    return statistic_figures(titles, clips, errors, drawing)


def _curve(title: str, confidence_R: Floats, hit_R: Floats, config: CalibrationConfig) -> Curve:
    """One point a bin, with the Wilson interval of its share of hits."""
    points = []
    if len(confidence_R):
        for sure, right, count in zip(*equal_mass_bins(confidence_R, hit_R, config.bins), strict=True):
            low, high = _wilson(float(right), float(count))
            points.append(
                Point(
                    x=round(100.0 * sure, 4), y=round(100.0 * right, 4), low=low, high=high, n=round(count)
                )
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
