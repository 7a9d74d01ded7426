"""The published procedure of QVHighlights in plain loops: what our scoring is measured against.

One query, threshold, window and clip at a time, as docs/evaluation.md describes it. Submissions must be as
the public script wants them: every query once, none without windows or scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Window = tuple[float, ...]
"""Start, end and, where it is predicted, score."""

THRESHOLDS = [round(0.5 + 0.05 * step, 2) for step in range(10)]
RANGES = {"short": (0, 10), "middle": (10, 30), "long": (30, 150), "full": (0, 150)}
LEVELS = {"Fair": 2, "Good": 3, "VeryGood": 4}
CLIP_S = 2


def scored(submission: Sequence[dict[str, Any]], truth: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Figures of parsed lines of a submission and of the truth, percent with two decimals."""
    asked = {row["qid"]: row for row in truth}
    figures: dict[str, Any] = {"brief": {}}
    if "pred_relevant_windows" in submission[0]:
        for name, (low_s, high_s) in RANGES.items():
            figures[name] = _moments(submission, asked, low_s, high_s)
        figures["brief"].update(_brief_moments(figures))
    if "pred_saliency_scores" in submission[0]:
        for name, level in LEVELS.items():
            found = _highlights(submission, asked, level)
            figures[f"HL-min-{name}"] = found
            for key, value in found.items():
                figures["brief"][f"HL-min-{name}-{key.removeprefix('HL-')}"] = value
    return figures


def _brief_moments(figures: dict[str, Any]) -> dict[str, float]:
    return {
        "MR-full-R1@0.5": figures["full"]["MR-R1"]["0.5"],
        "MR-full-R1@0.7": figures["full"]["MR-R1"]["0.7"],
        "MR-full-mAP": figures["full"]["MR-mAP"]["average"],
        "MR-full-mAP@0.5": figures["full"]["MR-mAP"]["0.5"],
        "MR-full-mAP@0.75": figures["full"]["MR-mAP"]["0.75"],
        **{f"MR-{name}-mAP": figures[name]["MR-mAP"]["average"] for name in ("long", "middle", "short")},
    }


def _moments(
    submission: Sequence[dict[str, Any]], asked: dict[Any, dict[str, Any]], low_s: float, high_s: float
) -> dict[str, dict[str, float]]:
    precisions: list[list[float]] = []
    hits: list[list[bool]] = []
    for line in submission:
        true = asked[line["qid"]]["relevant_windows"]
        if high_s - low_s < 150:
            true = [window for window in true if low_s < window[1] - window[0] <= high_s]
        if not true:
            continue
        said = sorted(line["pred_relevant_windows"][:10], key=lambda window: -window[2])
        precisions.append([_average_precision(said, true, threshold) for threshold in THRESHOLDS])
        best = _first_iou(line["pred_relevant_windows"][0], true)
        hits.append([best >= threshold for threshold in THRESHOLDS])
    means = [_mean([row[column] for row in precisions]) for column in range(len(THRESHOLDS))]
    found = {str(threshold): _percent(mean) for threshold, mean in zip(THRESHOLDS, means, strict=True)}
    found["average"] = _percent(_mean(means))
    recalls = {
        str(threshold): _percent(_mean([float(row[column]) for row in hits]))
        for column, threshold in enumerate(THRESHOLDS)
    }
    return {"MR-mAP": found, "MR-R1": recalls}


def _iou(said: Window, true: Window) -> float:
    common = max(0.0, min(said[1], true[1]) - max(said[0], true[0]))
    union = (said[1] - said[0]) + (true[1] - true[0]) - common
    return common / union if union else 0.0


def _first_iou(said: Window, true: Sequence[Window]) -> float:
    """IoU with the window that fits best, the union being the hull."""
    best = max(true, key=lambda window: _iou(said, window))
    common = max(0.0, min(said[1], best[1]) - max(said[0], best[0]))
    hull = max(said[1], best[1]) - min(said[0], best[0])
    return common / hull if hull else 0.0


def _average_precision(said: Sequence[Window], true: Sequence[Window], threshold: float) -> float:
    taken = [False] * len(true)
    rights: list[bool] = []
    for window in said:
        ious = [_iou(window, other) for other in true]
        right = False
        for index in sorted(range(len(true)), key=lambda k: ious[k])[::-1]:
            if ious[index] < threshold:
                break
            if not taken[index]:
                taken[index] = right = True
                break
        rights.append(right)
    recalls, precisions, found = [0.0], [0.0], 0
    for rank, right in enumerate(rights, start=1):
        found += right
        recalls.append(found / len(true))
        precisions.append(found / rank)
    recalls.append(1.0)
    precisions.append(0.0)
    for index in range(len(precisions) - 2, -1, -1):
        precisions[index] = max(precisions[index], precisions[index + 1])
    area = 0.0
    for index in range(1, len(recalls)):
        if recalls[index] != recalls[index - 1]:
            area += (recalls[index] - recalls[index - 1]) * precisions[index]
    return area


def _highlights(
    submission: Sequence[dict[str, Any]], asked: dict[Any, dict[str, Any]], level: int
) -> dict[str, float]:
    precisions: list[float] = []
    hits: list[float] = []
    for line in submission:
        row = asked[line["qid"]]
        count = int(row["duration"] / CLIP_S)
        ratings = [[0, 0, 0] for _ in range(count)]
        for clip, rated in zip(row["relevant_clip_ids"], row["saliency_scores"], strict=True):
            ratings[clip] = rated
        scores = line["pred_saliency_scores"]
        top = scores.index(max(scores))
        hits.append(float(top < count and max(ratings[top]) >= level))
        fitted = (scores + [0.0] * count)[:count]
        for person in range(3):
            highs = [rating[person] >= level for rating in ratings]
            precisions.append(_clip_precision(highs, fitted))
    return {"HL-mAP": _percent(_mean(precisions)), "HL-Hit1": _percent(_mean(hits))}


def _clip_precision(highs: Sequence[bool], scores: Sequence[float]) -> float:
    """Mean over the recalls that are reached of the best precision at that recall or beyond."""
    if not any(highs):
        return 0.0
    if all(highs):
        return 1.0
    ranked = sorted(zip(scores, highs, strict=True), key=lambda clip: -clip[0])
    points: list[tuple[int, float]] = []
    found = 0
    for rank, (score, high) in enumerate(ranked, start=1):
        found += high
        if rank == len(ranked) or ranked[rank][0] != score:
            points.append((found, found / rank))
    reached: list[float] = []
    best = 0.0
    for index in range(len(points) - 1, -1, -1):
        best = max(best, points[index][1])
        before = points[index - 1][0] if index else 0
        if points[index][0] != before:
            reached.append(best)
    return _mean(reached)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _percent(share: float) -> float:
    return float(f"{100 * share:.2f}")
