"""SODA: how well the captions of a video tell its story in its order (Fujita et al., ECCV 2020).

Predictions and references of a video, each in order of time, are matched so that the matching keeps that
order and weighs most; what the matched pairs are worth makes a precision over the predictions, a recall over
the references, and their F1. Variants: c weighs a pair by IoU x caption score, d by IoU alone, a matches by
IoU and counts the caption scores of the matched pairs.
"""

from collections.abc import Callable, Sequence

import numpy as np

from d2vlm_pipeline.evaluation.overlap import Floats, harmonic_mean

Matching = Callable[[Floats], list[tuple[int, int]]]
"""Weights [P, G] of one video to pairs (prediction, reference) in their order."""

_CELLS = 1 << 20  # of one batch of weights


def soda_c(iou: Sequence[Floats], score: Sequence[Floats]) -> Floats:
    """Precision, recall and F1 [V, 3] of each video, pairs weighed by IoU x caption score.

    Args:
        iou: [P, G] of each video, both sides in order of start.
        score: caption score [P, G] of the same pairs.
    """
    return soda_d([iou_PG * score_PG for iou_PG, score_PG in zip(iou, score, strict=True)])


def soda_d(iou: Sequence[Floats]) -> Floats:
    """Precision, recall and F1 [V, 3] of each video, pairs weighed by IoU alone."""
    return story_shares(heaviest_in_order(iou), [iou_PG.shape for iou_PG in iou])


def soda_a(
    iou: Sequence[Floats], score: Sequence[Floats], thresholds: Sequence[float], matching: Matching
) -> Floats:
    """Means over thresholds of precision, recall and F1 [V, 3]: caption scores of pairs matched by IoU.

    An IoU below the threshold weighs nothing.
    """
    shapes = [iou_PG.shape for iou_PG in iou]
    told_VT = np.zeros((len(shapes), len(thresholds)))
    for video, (iou_PG, score_PG) in enumerate(zip(iou, score, strict=True)):
        for place, threshold in enumerate(thresholds):
            pairs = matching(np.where(iou_PG >= threshold, iou_PG, 0.0))
            told_VT[video, place] = sum(float(score_PG[pair]) for pair in pairs)
    return np.mean([story_shares(told_V, shapes) for told_V in told_VT.T], axis=0)


def story_shares(told_V: Floats, shapes: Sequence[tuple[int, ...]]) -> Floats:
    """Precision, recall and F1 [V, 3] of what the matched pairs are worth; shapes are (P, G) by video."""
    count_VS = np.maximum(np.array(shapes, dtype=np.float64).reshape(-1, 2), 1.0)
    precision_V, recall_V = (told_V[:, None] / count_VS).T
    return np.stack([precision_V, recall_V, harmonic_mean(precision_V, recall_V)], axis=1)


def heaviest_in_order(weights: Sequence[Floats]) -> Floats:
    """Greatest sum [V] over matchings that keep the order of both sides, by dynamic programming.

    Args:
        weights: [P, G] of each video, at least 0.
    """
    best_V = np.zeros(len(weights))
    sizes = np.array([weight_PG.shape for weight_PG in weights]).reshape(-1, 2)
    order = np.lexsort(sizes.T)  # videos of like sizes share a batch: little padding
    start = 0
    while start < len(order):
        videos = order[start : start + _batch(sizes[order[start:]])]
        best_V[videos] = _heaviest([weights[video] for video in videos])
        start += len(videos)
    return best_V


def matched_in_order(weight_PG: Floats) -> list[tuple[int, int]]:
    """Pairs of a heaviest matching that keeps the order of both sides; pairs that weigh nothing are none."""
    table_PG = np.zeros((weight_PG.shape[0] + 1, weight_PG.shape[1] + 1))
    for p, weight_G in enumerate(weight_PG, start=1):
        longer_G = np.maximum(table_PG[p - 1, 1:], table_PG[p - 1, :-1] + weight_G)
        table_PG[p, 1:] = np.maximum.accumulate(longer_G)
    cells, _, _ = _way_back(table_PG)
    return [(p - 1, g - 1) for p, g in cells]


def matched_as_published(weight_PG: Floats) -> list[tuple[int, int]]:
    """Pairs as the published figures of variant a count them; found from those figures, not in the paper.

    The search gives the first reference to the first prediction or to none, and once either side is down to
    its first entry, the heaviest pair that is left counts even where it weighs nothing.
    """
    if not weight_PG.size:
        return []
    table_PG = np.zeros(weight_PG.shape)
    table_PG[0] = np.maximum.accumulate(weight_PG[0])
    for p, weight_G in enumerate(weight_PG[1:], start=1):
        table_PG[p, 0] = weight_PG[0, 0]
        table_PG[p, 1:] = np.maximum(table_PG[p - 1, 1:], table_PG[p - 1, :-1] + weight_G[1:])
        table_PG[p] = np.maximum.accumulate(table_PG[p])
    cells, p, g = _way_back(table_PG)
    last = (0, int(weight_PG[0, : g + 1].argmax())) if p == 0 else (int(weight_PG[: p + 1, 0].argmax()), 0)
    return [last, *cells]


def _way_back(table_PG: Floats) -> tuple[list[tuple[int, int]], int, int]:
    """Cells in which the best way through a table of sums takes a pair, in order, and where it ends."""
    cells, p, g = [], *(size - 1 for size in table_PG.shape)
    while p and g:
        if table_PG[p, g] == table_PG[p, g - 1]:
            g -= 1
        elif table_PG[p, g] == table_PG[p - 1, g]:
            p -= 1
        else:
            cells.append((p, g))
            p, g = p - 1, g - 1
    return cells[::-1], p, g


def _batch(sizes_V2: Floats) -> int:
    """How many videos, from the first, fit into one batch: padded to the largest they stay below `_CELLS`."""
    largest_V2 = np.maximum.accumulate(sizes_V2, axis=0)
    cells_V = largest_V2.prod(axis=1) * np.arange(1, len(sizes_V2) + 1)
    return max(int(np.searchsorted(cells_V, _CELLS)), 1)


def _heaviest(weights: Sequence[Floats]) -> Floats:
    """The table of the dynamic program for all videos at once, a row for each prediction."""
    most_P, most_G = np.array([weight_PG.shape for weight_PG in weights]).max(axis=0)
    weight_PVG = np.zeros((most_P, len(weights), most_G))
    for video, weight_PG in enumerate(weights):
        weight_PVG[: len(weight_PG), video, : weight_PG.shape[1]] = weight_PG
    table_VG = np.zeros((len(weights), most_G + 1))
    for weight_VG in weight_PVG:
        longer_VG = table_VG[:, :-1] + weight_VG
        np.maximum(table_VG[:, 1:], longer_VG, out=table_VG[:, 1:])
        np.maximum.accumulate(table_VG, axis=1, out=table_VG)
    best_V: Floats = table_VG[:, -1]
    return best_V
