"""Highlight detection: average precision and Hit1 of clip scores, for all queries at once.

Letters of shapes: Q queries, C clips, A annotators.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    counts_Q = np.array([len(each) for each in ratings])
    for count in np.unique(counts_Q):
        rows = np.flatnonzero(counts_Q == count)
        scores_QC = np.stack([scores[int(row)] for row in rows])
        order_QC = np.argsort(-scores_QC, axis=1, kind="stable")
        scores_QC = np.take_along_axis(scores_QC, order_QC, axis=1)
        # A threshold lies behind the last clip of each score, nowhere between equal ones.
        is_end_QC = np.ones(scores_QC.shape, dtype=bool)
        is_end_QC[:, :-1] = scores_QC[:, 1:] != scores_QC[:, :-1]
        ratings_AQC = np.stack([ratings[int(row)].T for row in rows], axis=1)
        ratings_AQC = np.take_along_axis(ratings_AQC, order_QC[None], axis=2)
        for index, level in enumerate(levels):
            ap_LAQ[index][:, rows] = _interpolated(ratings_AQC >= level, is_end_QC, ties_once)
    return ap_LAQ.transpose(0, 2, 1)


def _interpolated(is_high_AQC: Bools, is_end_QC: Bools, ties_once: bool) -> Floats:
    right_AQC = np.cumsum(is_high_AQC, axis=2, dtype=np.int32)
    precision_AQC = right_AQC / np.arange(1, is_high_AQC.shape[2] + 1)
    best_AQC = np.maximum.accumulate((precision_AQC * is_end_QC)[..., ::-1], axis=2)[..., ::-1]
    reached_AQC = np.maximum.accumulate(right_AQC * is_end_QC, axis=2)
    gained_AQC = np.diff(reached_AQC, axis=2, prepend=0)
    weight_AQC = gained_AQC > 0 if ties_once else gained_AQC
    total_AQ = weight_AQC.sum(axis=2)
    summed_AQ = (best_AQC * weight_AQC).sum(axis=2)
    return np.divide(summed_AQ, total_AQ, out=np.zeros_like(summed_AQ), where=total_AQ > 0)


def hit_at_1(tops: Sequence[int], ratings: Sequence[Ratings], level: int) -> Floats:
    """1.0 where some annotator rated the top clip at least `level`, [Q]; a clip that is none is no hit."""
    hits = [
        0 <= top < len(each) and each[top].max() >= level for top, each in zip(tops, ratings, strict=True)
    ]
    return np.array(hits, dtype=np.float64)
