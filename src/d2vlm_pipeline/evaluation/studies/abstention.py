"""What is left of the errors when a model keeps silent where it is unsure, or says that nothing happens.

Questions that may ask for an absent event are ranked by the confidence of the answer; denials and answers
without interval abstain first. Of an absent event every interval is wrong and nothing but silence is right,
so that at full coverage its question counts as an error for anybody.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from d2vlm_pipeline.evaluation.overlap import Floats
from d2vlm_pipeline.evaluation.pairs import Pair
from d2vlm_pipeline.evaluation.studies.estimates import Drawing, mean_figure, point_of, statistic_figures
from d2vlm_pipeline.evaluation.studies.judging import confidence_of, interval_f1
from d2vlm_pipeline.evaluation.studies.records import Curve, Figure, Study, Unit

_COVERAGES = tuple(np.linspace(0.05, 1.0, 20).round(2).tolist())


def selective_risks(confidence_R: Floats, loss_R: Floats) -> Floats:
    """Mean loss of the k most confident answers for k = 1 … R; equal confidences share their mean loss."""
    _, group_R, count_G = np.unique(-confidence_R, return_inverse=True, return_counts=True)
    mean_G = np.bincount(group_R, weights=loss_R) / count_G
    return np.asarray(np.cumsum(np.repeat(mean_G, count_G)) / np.arange(1, len(loss_R) + 1))


def area_under_risk(confidence_R: Floats, loss_R: Floats) -> float:
    """AURC: mean of the selective risks over all coverages (Geifman, Uziel and El-Yaniv, ICLR 2019)."""
    return float(selective_risks(confidence_R, loss_R).mean())


def study_abstention(pairs: Sequence[Pair], hit_iou: float, drawing: Drawing) -> Study:
    """Risk against coverage on the tasks among whose questions are some about absent events."""
    tasks = sorted({pair.sample.task for pair in pairs if pair.sample.is_absent})
    asked = [pair for pair in pairs if pair.sample.task in tasks]
    clips = [pair.sample.video for pair in asked]
    said = [confidence_of(pair) for pair in asked]
    # Below every confidence: abstaining is what comes first when coverage is given up.
    confidence_R = np.array([-1.0 if sure is None else sure for sure in said])
    loss_R = np.array([1.0 - (0.0 if p.sample.is_absent else interval_f1(p, hit_iou)) for p in asked])
    return Study(
        title="Risk and coverage",
        definition=(
            f"Questions of {', '.join(tasks) or 'no task'}, of which some ask for an absent event. Loss: 1 − "
            f"F1 of the answer's intervals at IoU {hit_iou:g}; 1 for every answer about an absent event. "
            "Confidence: mean p_g of the answer's intervals; denials and answers without interval abstain "
            "first. AURC is the mean risk over all coverages."
        ),
        headline="aurc",
        clips=len(set(clips)),
        figures=_areas(clips, confidence_R, loss_R, drawing) | _as_it_answers(asked, said, loss_R, drawing),
        curves=_curves(clips, confidence_R, loss_R, drawing),
    )


def _areas(clips: Sequence[str], confidence_R: Floats, loss_R: Floats, drawing: Drawing) -> dict[str, Figure]:
    def areas(rows: NDArray[np.intp]) -> list[float]:
        sure_R, lost_R = confidence_R[rows], loss_R[rows]
        return [area_under_risk(sure_R, lost_R), area_under_risk(-lost_R, lost_R), float(lost_R.mean())]

    titles: list[tuple[str, Unit]] = [
        ("AURC", "percent"),
        ("AURC of the best possible order", "percent"),
        ("risk without abstaining (AURC of a random order)", "percent"),
    ]
    names = ("aurc", "aurc_oracle", "risk_at_full_coverage")
    return dict(zip(names, statistic_figures(titles, clips, areas, drawing), strict=True))


def _as_it_answers(
    asked: Sequence[Pair], said: Sequence[float | None], loss_R: Floats, drawing: Drawing
) -> dict[str, Figure]:
    """Where the model stands on the curve when it abstains by denial alone."""
    answers = [sure is not None for sure in said]
    rows = np.flatnonzero(answers)
    absent = [row for row, pair in enumerate(asked) if pair.sample.is_absent]
    clips = [pair.sample.video for pair in asked]
    return {
        "coverage": mean_figure("questions answered with an interval", clips, answers, drawing),
        "risk": mean_figure("risk of those answers", [clips[row] for row in rows], loss_R[rows], drawing),
        "absent_abstained": mean_figure(
            "absent events abstained on",
            [clips[k] for k in absent],
            [not answers[k] for k in absent],
            drawing,
        ),
    }


def _curves(clips: Sequence[str], confidence_R: Floats, loss_R: Floats, drawing: Drawing) -> dict[str, Curve]:
    """Risk of the most confident answers at every twentieth of coverage, and that of the best order."""

    def risks(rows: NDArray[np.intp]) -> Floats:
        covered = _covered(len(rows)) - 1
        sure_R, lost_R = confidence_R[rows], loss_R[rows]
        return np.concatenate(
            [selective_risks(sure_R, lost_R)[covered], selective_risks(-lost_R, lost_R)[covered]]
        )

    if not len(clips):
        return {}
    found = drawing.of_statistics(clips, risks)
    halves = found[: len(_COVERAGES)], found[len(_COVERAGES) :]
    titles = {"model": "by confidence", "oracle": "best possible order"}
    return {
        name: Curve(
            title=title,
            x="coverage (%)",
            y="risk (%)",
            panel="risk and coverage",
            points=tuple(
                point_of(round(100.0 * share, 4), risk, int(covered))
                for share, covered, risk in zip(_COVERAGES, _covered(len(clips)), half, strict=True)
            ),
        )
        for (name, title), half in zip(titles.items(), halves, strict=True)
    }


def _covered(count: int) -> NDArray[np.intp]:
    """How many answers each coverage takes, at least one."""
    return np.maximum(1, np.rint(np.array(_COVERAGES) * count)).astype(np.intp)
