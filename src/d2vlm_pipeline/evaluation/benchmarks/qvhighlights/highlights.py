"""Highlight detection: average precision and Hit1 of clip scores, for all queries at once.

Letters of shapes: Q queries, C clips, A annotators.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from d2vlm_pipeline.evaluation.benchmarks.qvhighlights.rules import ANNOTATORS
from d2vlm_pipeline.evaluation.overlap import Floats

Ratings = NDArray[np.int8]
Bools = NDArray[np.bool_]


def average_precision(
    scores: Sequence[Floats], ratings: Sequence[Ratings], levels: Sequence[int], ties_once: bool
) -> Floats:
    """AP [level, Q, A] of clips rated at least each level, by interpolated precision; 0 where there are none.

    Clips of equal score come at once; the precision there counts for each highlight among them, or, under
    `ties_once`, for all of them together.
    """
    ap_LAQ = np.zeros((len(levels), ANNOTATORS, len(ratings)))
    for rows in _alike([len(each) for each in ratings]):
        scores_QC, ratings_QCA = _padded([scores[row] for row in rows], [ratings[row] for row in rows])
        # In which order equal scores come makes no difference below; padding, no number, comes last.
        order_QC = np.argsort(-scores_QC, axis=1)
        scores_QC = np.take_along_axis(scores_QC, order_QC, axis=1)
        # A threshold lies behind the last clip of each score, nowhere between equal ones.
        is_end_QC = np.ones(scores_QC.shape, dtype=bool)
        is_end_QC[:, :-1] = scores_QC[:, 1:] != scores_QC[:, :-1]
        ranked_QCA = ratings_QCA[np.arange(len(rows))[:, None], order_QC]
        ranked_CAQ = np.ascontiguousarray(ranked_QCA.transpose(1, 2, 0))
        is_end_CQ = np.ascontiguousarray(is_end_QC.T)
        for index, level in enumerate(levels):
            ap_LAQ[index][:, rows] = _interpolated(ranked_CAQ >= level, is_end_CQ, ties_once)
    return ap_LAQ.transpose(0, 2, 1)


def _alike(counts: Sequence[int]) -> Iterator[list[int]]:
    """Queries whose numbers of clips differ by less than twice: little padding, and few groups."""
    groups: dict[int, list[int]] = {}
    for row, count in enumerate(counts):
        groups.setdefault((count - 1).bit_length(), []).append(row)
    yield from groups.values()


def _padded(scores: Sequence[Floats], ratings: Sequence[Ratings]) -> tuple[Floats, Ratings]:
    """Scores [Q, C], of padding no number, and ratings [Q, C, A], of padding none."""
    widest = max(len(each) for each in ratings)
    scores_QC = np.full((len(scores), widest), np.nan)
    ratings_QCA = np.full((len(scores), widest, ANNOTATORS), -1, dtype=np.int8)
    for row, (scores_C, ratings_CA) in enumerate(zip(scores, ratings, strict=True)):
        scores_QC[row, : len(scores_C)] = scores_C
        ratings_QCA[row, : len(ratings_CA)] = ratings_CA
    return scores_QC, ratings_QCA


def _interpolated(is_high_CAQ: Bools, is_end_CQ: Bools, ties_once: bool) -> Floats:
    """AP [A, Q] of ranked clips, from the last to the first: what lies behind a clip is known when it comes.

    Padding lies behind all clips, where it only makes lower precisions than theirs.
    """
    right_AQ = is_high_CAQ.sum(axis=0, dtype=np.float64)
    best_AQ, sum_AQ, counted_AQ = (np.zeros_like(right_AQ) for _ in range(3))
    is_counted_AQ = np.zeros(right_AQ.shape, dtype=bool)
    for rank in range(len(is_high_CAQ), 0, -1):
        is_high_AQ, is_end_Q = is_high_CAQ[rank - 1], is_end_CQ[rank - 1]
        np.maximum(best_AQ, right_AQ / rank * is_end_Q, out=best_AQ)
        right_AQ -= is_high_AQ
        if ties_once:
            is_counted_AQ &= ~is_end_Q
            is_high_AQ = is_high_AQ & ~is_counted_AQ
            is_counted_AQ |= is_high_AQ
        sum_AQ += best_AQ * is_high_AQ
        counted_AQ += is_high_AQ
    return np.divide(sum_AQ, counted_AQ, out=np.zeros_like(sum_AQ), where=counted_AQ > 0)


def best_ratings(clips: Sequence[int], ratings: Sequence[Ratings]) -> Ratings:
    """The best that any annotator thought of one clip of each query, [Q]; -1 where there is no such clip."""
    counts_Q = np.array([len(each) for each in ratings])
    clips_Q = np.array(clips)
    exists_Q = (clips_Q >= 0) & (clips_Q < counts_Q)
    best_N = np.concatenate(ratings).max(axis=1)
    places_Q = np.cumsum(counts_Q) - counts_Q + np.where(exists_Q, clips_Q, 0)
    return np.where(exists_Q, best_N[places_Q], np.int8(-1))
