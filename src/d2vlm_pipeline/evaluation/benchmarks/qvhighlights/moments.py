"""Moment retrieval: average precision and R1 at every IoU threshold, for all queries at once.

Letters of shapes: Q queries, P predicted windows, G true windows, T thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from d2vlm_pipeline.evaluation.benchmarks.qvhighlights.rules import KEPT, THRESHOLDS
from d2vlm_pipeline.evaluation.overlap import Floats

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Windows:
    """Predicted windows of queries, padded.

    Attributes:
        spans_QP2: seconds.
        is_given_QP: False for padding.
    """

    spans_QP2: Floats
    is_given_QP: Bools

    def of(self, rows: NDArray[np.intp]) -> Windows:
        """Those of some queries."""
        return Windows(self.spans_QP2[rows], self.is_given_QP[rows])


@dataclass(frozen=True, eq=False)
class Truths:
    """True windows of queries, one after another.

    Attributes:
        spans_N2: seconds.
        counts_Q: how many each query has.
        is_inside_N: False for those of another length than is asked about.
    """

    spans_N2: Floats
    counts_Q: NDArray[np.intp]
    is_inside_N: Bools

    @classmethod
    def of(cls, windows: Sequence[Floats]) -> Truths:
        """Windows [G, 2] of each query, all of them asked about."""
        spans_N2 = np.concatenate([np.empty((0, 2)), *windows])
        counts_Q = np.array([len(each) for each in windows], dtype=np.intp)
        return cls(spans_N2, counts_Q, np.ones(len(spans_N2), dtype=bool))

    def within(self, low_s: float, high_s: float, drops_others: bool) -> tuple[Truths, NDArray[np.intp]]:
        """The same, asked about lengths in (low, high] alone, and the queries [Q'] that have such windows.

        Others stay as windows outside, or leave.
        """
        length_N = self.spans_N2[:, 1] - self.spans_N2[:, 0]
        is_inside_N = (low_s < length_N) & (length_N <= high_s)
        query_N = np.repeat(np.arange(len(self.counts_Q)), self.counts_Q)
        inside_Q = np.bincount(query_N[is_inside_N], minlength=len(self.counts_Q))
        kept = np.flatnonzero(inside_Q)
        stays_N = is_inside_N if drops_others else inside_Q[query_N] > 0
        counts_Q = inside_Q if drops_others else self.counts_Q
        return Truths(self.spans_N2[stays_N], counts_Q[kept], is_inside_N[stays_N]), kept

    def alike(self) -> Iterator[tuple[NDArray[np.intp], Floats, Bools]]:
        """Queries [Q] whose windows differ by less than twice, with spans [Q, G, 2] and insideness [Q, G].

        What pads them lies outside, has no length, and so meets nothing.
        """
        start_Q = np.cumsum(self.counts_Q) - self.counts_Q
        powers_Q = np.ceil(np.log2(self.counts_Q))
        for power in np.unique(powers_Q):
            rows = np.flatnonzero(powers_Q == power)
            place_G = np.arange(self.counts_Q[rows].max())
            is_there_QG = place_G < self.counts_Q[rows, None]
            places_QG = np.where(is_there_QG, start_Q[rows, None] + place_G, 0)
            spans_QG2 = np.where(is_there_QG[..., None], self.spans_N2[places_QG], 0.0)
            yield rows, spans_QG2, self.is_inside_N[places_QG] & is_there_QG


def best_first(lists: Sequence[Floats], kept: int | None = KEPT) -> Windows:
    """Windows [P, 3] of each query by falling score, ties as given, of each no more than are kept."""
    return _padded(lists, by_score=True, kept=kept)


def as_given(lists: Sequence[Floats], kept: int | None = KEPT) -> Windows:
    """Windows [P, 3] of each query in their order, of each no more than are kept."""
    return _padded(lists, by_score=False, kept=kept)


def _padded(lists: Sequence[Floats], by_score: bool, kept: int | None) -> Windows:
    counts_Q = np.array([len(windows) for windows in lists])
    flat_N3 = np.concatenate([np.empty((0, 3)), *lists])
    query_N = np.repeat(np.arange(len(lists)), counts_Q)
    if by_score:
        flat_N3 = flat_N3[np.lexsort((-flat_N3[:, 2], query_N))]
    place_N = np.arange(len(flat_N3)) - np.repeat(np.cumsum(counts_Q) - counts_Q, counts_Q)
    widest = max(1, int(counts_Q.max(initial=0)))
    width = widest if kept is None else min(widest, kept)
    keep_N = place_N < width
    windows = Windows(np.zeros((len(lists), width, 2)), np.zeros((len(lists), width), dtype=bool))
    windows.spans_QP2[query_N[keep_N], place_N[keep_N]] = flat_N3[keep_N, :2]
    windows.is_given_QP[query_N[keep_N], place_N[keep_N]] = True
    return windows


def average_precision(windows: Windows, truths: Truths) -> Floats:
    """AP [Q, T] by interpolated precision at every recall that is reached (PASCAL VOC 2011).

    A window, best first, finds the true window that it fits best among those not found yet. One that finds a
    true window outside is passed over.
    """
    ap_QT = np.zeros((len(truths.counts_Q), len(THRESHOLDS)))
    for rows, spans_QG2, is_inside_QG in truths.alike():
        group = windows.of(rows)
        iou_QPG = _sum_iou(group, spans_QG2)
        found_QPT = _found(iou_QPG)
        is_inside_QPT = np.take_along_axis(is_inside_QG[:, None, :], np.maximum(found_QPT, 0), axis=2)
        is_right_QPT = (found_QPT >= 0) & is_inside_QPT
        counts_QPT = group.is_given_QP[:, :, None] & ((found_QPT < 0) | is_inside_QPT)
        ap_QT[rows] = _interpolated(is_right_QPT, counts_QPT) / is_inside_QG.sum(axis=1)[:, None]
    return ap_QT


def recall_at_1(windows: Windows, truths: Truths) -> Bools:
    """Whether the first window meets a true window inside, [Q, T]; those that only meet others are passed."""
    hit_QT = np.zeros((len(truths.counts_Q), len(THRESHOLDS)), dtype=bool)
    for rows, spans_QG2, is_inside_QG in truths.alike():
        group = windows.of(rows)
        meets_QPGT = _hull_iou(group, spans_QG2)[..., None] >= np.array(THRESHOLDS)
        inside_QPT = (meets_QPGT & is_inside_QG[:, None, :, None]).any(axis=2)
        outside_QPT = (meets_QPGT & ~is_inside_QG[:, None, :, None]).any(axis=2)
        stands_QPT = group.is_given_QP[:, :, None] & (inside_QPT | ~outside_QPT)
        first_QT = stands_QPT.argmax(axis=1)  # where none stands, 0, which then is no hit either
        hit_QT[rows] = np.take_along_axis(inside_QPT & stands_QPT, first_QT[:, None, :], axis=1)[:, 0]
    return hit_QT


def _common(windows: Windows, spans_QG2: Floats) -> Floats:
    """Seconds [Q, P, G] that windows and truths share."""
    start_QPG = np.maximum(windows.spans_QP2[:, :, None, 0], spans_QG2[:, None, :, 0])
    end_QPG = np.minimum(windows.spans_QP2[:, :, None, 1], spans_QG2[:, None, :, 1])
    return np.maximum(end_QPG - start_QPG, 0.0)


def _sum_iou(windows: Windows, spans_QG2: Floats) -> Floats:
    """IoU [Q, P, G], the union being the sum of lengths less what they share; -1 for padding."""
    common_QPG = _common(windows, spans_QG2)
    lengths_QP = windows.spans_QP2[..., 1] - windows.spans_QP2[..., 0]
    lengths_QG = spans_QG2[..., 1] - spans_QG2[..., 0]
    union_QPG = lengths_QP[:, :, None] + lengths_QG[:, None, :] - common_QPG
    iou_QPG = np.divide(common_QPG, union_QPG, out=np.zeros_like(common_QPG), where=union_QPG > 0)
    return np.where(windows.is_given_QP[:, :, None], iou_QPG, -1.0)


def _hull_iou(windows: Windows, spans_QG2: Floats) -> Floats:
    """IoU [Q, P, G], the union being the hull: the same but for the last bit, which decides at thresholds."""
    common_QPG = _common(windows, spans_QG2)
    start_QPG = np.minimum(windows.spans_QP2[:, :, None, 0], spans_QG2[:, None, :, 0])
    end_QPG = np.maximum(windows.spans_QP2[:, :, None, 1], spans_QG2[:, None, :, 1])
    hull_QPG = end_QPG - start_QPG
    return np.divide(common_QPG, hull_QPG, out=np.zeros_like(common_QPG), where=common_QPG > 0)


def _found(iou_QPG: Floats) -> NDArray[np.intp]:
    """Which true window each predicted one finds at each threshold, [Q, P, T]; -1 for none."""
    queries, predicted, true = iou_QPG.shape
    thresholds_T = np.array(THRESHOLDS)
    is_taken_QTG = np.zeros((queries, len(THRESHOLDS), true), dtype=bool)
    found_QPT = np.full((queries, predicted, len(THRESHOLDS)), -1, dtype=np.intp)
    # Below the lowest threshold nothing is found: most windows of most queries need no look.
    may_find_QP: Bools = np.any(iou_QPG >= THRESHOLDS[0], axis=2)
    for p in np.flatnonzero(may_find_QP.any(axis=0)):
        rows = np.flatnonzero(may_find_QP[:, p])
        free_RTG = np.where(is_taken_QTG[rows], -1.0, iou_QPG[rows, p, None, :])
        # Of equally good ones the last: the public script sorts upwards and reads from the end.
        best_RT = true - 1 - free_RTG[..., ::-1].argmax(axis=2)
        is_hit_RT = np.take_along_axis(free_RTG, best_RT[..., None], axis=2)[..., 0] >= thresholds_T
        found_QPT[rows, p] = np.where(is_hit_RT, best_RT, -1)
        row_H, threshold_H = np.nonzero(is_hit_RT)
        is_taken_QTG[rows[row_H], threshold_H, best_RT[row_H, threshold_H]] = True
    return found_QPT


def _interpolated(is_right_QPT: Bools, counts_QPT: Bools) -> Floats:
    """Sum [Q, T] over right windows of the best precision from there on."""
    right_QT = np.zeros((len(is_right_QPT), len(THRESHOLDS)))
    seen_QT = np.zeros_like(right_QT)
    precisions: list[Floats] = []
    # A step for each of a few windows: over a short axis that is not the last, accumulating is slower.
    for p in range(is_right_QPT.shape[1]):
        right_QT += is_right_QPT[:, p]
        seen_QT += counts_QPT[:, p]
        precisions.append(right_QT / np.maximum(seen_QT, 1))
    sum_QT, best_QT = np.zeros_like(right_QT), np.zeros_like(right_QT)
    for p in reversed(range(is_right_QPT.shape[1])):
        np.maximum(best_QT, precisions[p], out=best_QT)
        sum_QT += best_QT * is_right_QPT[:, p]
    return sum_QT
