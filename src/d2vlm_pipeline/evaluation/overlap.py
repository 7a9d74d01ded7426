"""Arithmetic on arrays of intervals, in exact seconds.

Shapes: an interval array is [N, 2] (start_s, end_s). Predictions may carry leading axes, [..., P, 2], so
that the search for a constant baseline scores all its candidates at once; truth is always [G, 2].
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from d2vlm_pipeline.timeline import Interval

Floats = NDArray[np.float64]

# An overlap of exactly three tenths must reach the threshold 0.3 whatever the last bit of the division says.
_SLACK = 1e-9


def as_array(intervals: Iterable[Interval]) -> Floats:
    """Interval records as [N, 2] seconds."""
    rows = [(interval.start_s, interval.end_s) for interval in intervals]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def iou(pred: Floats, truth_G2: Floats) -> Floats:
    """Temporal IoU [..., P, G]; the union is the sum of lengths less the overlap."""
    overlap = _overlap(pred, truth_G2)
    lengths = (pred[..., 1] - pred[..., 0])[..., :, None] + (truth_G2[:, 1] - truth_G2[:, 0])
    return overlap / (lengths - overlap)


def reaches(values: Floats, thresholds: Sequence[float]) -> NDArray[np.bool_]:
    """Whether each value is at or above each threshold, [..., T]."""
    return values[..., None] >= np.asarray(thresholds) - _SLACK


def first_iou(pred: Floats, truth_G2: Floats) -> Floats:
    """IoU [...] of the first predicted interval with the truth it fits best; 0 without either."""
    return iou(pred[..., :1, :], truth_G2).max(axis=(-2, -1), initial=0.0)


def precision_recall(pred: Floats, truth_G2: Floats, thresholds: Sequence[float]) -> tuple[Floats, Floats]:
    """Shares [..., T] of predictions that meet some truth, and of truths met; a share of none is 0."""
    hit = reaches(iou(pred, truth_G2), thresholds)
    count_P, count_G = hit.shape[-3], hit.shape[-2]
    precision = hit.any(axis=-2).sum(axis=-2) / max(count_P, 1)
    recall = hit.any(axis=-3).sum(axis=-2) / max(count_G, 1)
    return precision, recall


def harmonic_mean(a: Floats, b: Floats) -> Floats:
    """2ab / (a + b), and 0 where both are 0."""
    total = a + b
    return np.divide(2.0 * a * b, total, out=np.zeros_like(total), where=total > 0)


def overlap_f1(pred: Floats, truth_G2: Floats) -> Floats:
    """F1 [...] of covered time: twice the common seconds over the seconds of both sides.

    Predictions overlapping one another count once; with leading axes they must be disjoint already.
    """
    pred = merged(pred) if pred.ndim == 2 else pred
    truth_G2 = merged(truth_G2)
    common_s = _overlap(pred, truth_G2).sum(axis=(-2, -1))
    total_s = np.asarray((pred[..., 1] - pred[..., 0]).sum(axis=-1) + (truth_G2[:, 1] - truth_G2[:, 0]).sum())
    return np.divide(2.0 * common_s, total_s, out=np.zeros_like(total_s), where=total_s > 0)


def midpoint_hit(pred: Floats, truth_G2: Floats) -> Floats:
    """1.0 where the midpoint [...] of the first predicted interval lies in some truth, [start, end)."""
    middle_s = pred[..., :1, :].mean(axis=-1)[..., None]
    inside = (truth_G2[:, 0] <= middle_s) & (middle_s < truth_G2[:, 1])
    return inside.any(axis=(-2, -1)).astype(np.float64)


def merged(intervals_N2: Floats) -> Floats:
    """The same instants as disjoint intervals in order, [M, 2]."""
    runs: list[list[float]] = []
    for start_s, end_s in sorted(intervals_N2.tolist()):
        if runs and start_s <= runs[-1][1]:
            runs[-1][1] = max(runs[-1][1], end_s)
        else:
            runs.append([start_s, end_s])
    return np.array(runs, dtype=np.float64).reshape(-1, 2)


def one_to_one(iou_PG: Floats, threshold: float) -> list[tuple[int, int]]:
    """Pairs (prediction, truth) at or above the threshold, each side used once.

    As many pairs as possible; among equally many, the greatest sum of IoU (Hungarian assignment).
    """
    eligible = reaches(iou_PG, (threshold,))[..., 0]
    if not eligible.any():
        return []
    from scipy.optimize import linear_sum_assignment

    # One more pair must outweigh any gain in IoU, and all IoU together are at most min(P, G).
    weight = np.where(eligible, min(iou_PG.shape) + 1.0 + iou_PG, 0.0)
    rows, columns = linear_sum_assignment(weight, maximize=True)
    return [(int(p), int(g)) for p, g in zip(rows, columns, strict=True) if eligible[p, g]]


def _overlap(pred: Floats, truth_G2: Floats) -> Floats:
    start_s = np.maximum(pred[..., :, None, 0], truth_G2[:, 0])
    end_s = np.minimum(pred[..., :, None, 1], truth_G2[:, 1])
    return np.maximum(end_s - start_s, 0.0)
