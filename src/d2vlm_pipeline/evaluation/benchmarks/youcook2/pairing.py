"""Which predictions of a video meet which of its events, all videos at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from d2vlm_pipeline.evaluation.benchmarks.records import Span
from d2vlm_pipeline.evaluation.benchmarks.youcook2.files import Video
from d2vlm_pipeline.evaluation.benchmarks.youcook2.rules import DenseRules
from d2vlm_pipeline.evaluation.captions.ngrams import Ints
from d2vlm_pipeline.evaluation.overlap import Floats, one_to_one, reaches

Flags = NDArray[np.bool_]

_LONGER_S = 1e-8


@dataclass(frozen=True)
class Edges:
    """Every prediction beside every event of its video, those of a prediction together.

    Attributes:
        video_P, video_G: number of the video of each prediction and of each event.
        pred_E, truth_E: prediction and event of each pair.
        iou_E: their overlap.
    """

    videos: int
    video_P: Ints
    video_G: Ints
    pred_E: Ints
    truth_E: Ints
    iou_E: Floats

    @classmethod
    def of(cls, videos: Sequence[Video], rules: DenseRules) -> "Edges":
        preds_V = np.array([len(video.said) for video in videos], dtype=np.int64)
        truths_V = np.array([len(video.truth) for video in videos], dtype=np.int64)
        video_P, video_G = (np.repeat(np.arange(len(videos)), count_V) for count_V in (preds_V, truths_V))
        partners_P = truths_V[video_P]
        pred_E = np.repeat(np.arange(len(video_P)), partners_P)
        first_E = np.repeat(np.cumsum(partners_P) - partners_P, partners_P)
        truth_E = np.arange(len(pred_E)) - first_E + (np.cumsum(truths_V) - truths_V)[video_P[pred_E]]
        said_P2, true_G2 = (_array(video.said for video in videos), _array(video.truth for video in videos))
        if rules.turned_around:
            said_P2 = np.sort(said_P2, axis=1)
        iou_E = _iou(said_P2[pred_E], true_G2[truth_E], _LONGER_S if rules.two_thresholds else 0.0)
        return cls(len(videos), video_P, video_G, pred_E, truth_E, iou_E)

    def shares(self, found_E: Flags) -> tuple[Floats, Floats]:
        """Shares [V] of each video's predictions and of its events that are in a pair; of none, 0."""
        shares = []
        for video_I, item_E in ((self.video_P, self.pred_E), (self.video_G, self.truth_E)):
            found = np.bincount(video_I[np.unique(item_E[found_E])], minlength=self.videos)
            shares.append(found / np.maximum(np.bincount(video_I, minlength=self.videos), 1))
        return shares[0], shares[1]

    def matrices(self) -> list[tuple[Ints, Floats]]:
        """Of each video the numbers of its pairs as [P, G], and their IoU."""
        counts_V = [np.bincount(video_I, minlength=self.videos) for video_I in (self.video_P, self.video_G)]
        sizes_V = counts_V[0] * counts_V[1]
        ends_V = np.cumsum(sizes_V)
        found = []
        for preds, truths, size, end in zip(*counts_V, sizes_V, ends_V, strict=True):
            place_PG = np.arange(end - size, end).reshape(preds, truths)
            found.append((place_PG, self.iou_E[place_PG]))
        return found


def meetings(edges: Edges, threshold: float, rules: DenseRules) -> tuple[Flags, Flags]:
    """Pairs [E] that find an event, and pairs whose captions are compared."""
    if rules.two_thresholds:
        found_E, told_E = edges.iou_E > threshold, edges.iou_E >= threshold
    else:
        found_E = told_E = reaches(edges.iou_E, (threshold,))[:, 0]
    if rules.many_to_many:
        return found_E, told_E
    return _each_once(edges, found_E, threshold), _each_once(edges, told_E, threshold)


def _each_once(edges: Edges, met_E: Flags, threshold: float) -> Flags:
    """As many of the pairs as possible without using a side twice; of equally many, the best overlap."""
    chosen_E = np.zeros_like(met_E)
    for place_PG, iou_PG in edges.matrices():
        met_PG = met_E[place_PG]
        for pair in one_to_one(np.where(met_PG, np.maximum(iou_PG, threshold), 0.0), threshold):
            chosen_E[place_PG[pair]] = True
    return chosen_E


def _iou(said_E2: Floats, true_E2: Floats, longer_s: float) -> Floats:
    """Overlap over the shorter of hull and sum of lengths; nothing where an interval is turned around."""
    # Of halves: huge times of unlike signs have no difference, and halving changes no quotient.
    said_E2, true_E2, longer_s = said_E2 / 2, true_E2 / 2, longer_s / 2
    start_E, end_E = np.maximum(said_E2[:, 0], true_E2[:, 0]), np.minimum(said_E2[:, 1], true_E2[:, 1])
    common_E = np.maximum(end_E - start_E, 0.0)
    hull_E = np.maximum(said_E2[:, 1], true_E2[:, 1]) - np.minimum(said_E2[:, 0], true_E2[:, 0])
    sum_E = (said_E2[:, 1] - said_E2[:, 0]) + (true_E2[:, 1] - true_E2[:, 0])
    union_E = np.minimum(hull_E, sum_E) + longer_s
    return np.divide(common_E, union_E, out=np.zeros_like(common_E), where=(common_E > 0) & (union_E > 0))


def _array(spans: Iterable[tuple[Span, ...]]) -> Floats:
    rows = [span for part in spans for span in part]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)
