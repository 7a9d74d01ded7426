"""Every caption with every event of its video, all videos at once, and which of them meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.records import Captions
from d2vlm_pipeline.evaluation.benchmarks.grounding.scoring import hull_iou
from d2vlm_pipeline.evaluation.overlap import Floats, harmonic_mean, one_to_one

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Number = TypeVar("Number", bound=np.number[Any])

_SLACK = 1e-9  # as in `overlap.reaches`: the last bit of a division decides nothing
_PAD_S = 1e-8


@dataclass(frozen=True)
class Side:
    """Captions of V videos one after another.

    Attributes:
        count_V: captions of each video.
        span_M2: their intervals, seconds.
        texts: their M sentences.
    """

    count_V: Ints
    span_M2: Floats
    texts: tuple[str, ...]

    @classmethod
    def of(cls, videos: Sequence[Captions]) -> Side:
        """The captions of these videos."""
        return cls(
            np.array([len(captions.texts) for captions in videos], dtype=np.int64),
            np.array([span for captions in videos for span in captions.spans]).reshape(-1, 2),
            tuple(text for captions in videos for text in captions.texts),
        )

    @cached_property
    def start_V(self) -> Ints:
        """Where each video's captions begin."""
        return np.cumsum(self.count_V) - self.count_V

    @cached_property
    def video_M(self) -> Ints:
        """Video of each caption."""
        return np.repeat(np.arange(len(self.count_V)), self.count_V)


@dataclass(frozen=True)
class Pairs:
    """N pairs of a caption and an event of the same video, by video, then caption, then event.

    Attributes:
        said_N: place of the caption among those of all videos.
        true_N: place of the event among those of all videos.
        iou_N: temporal IoU.
        lag_N: how far apart they start, seconds.
    """

    said: Side
    true: Side
    said_N: Ints
    true_N: Ints
    iou_N: Floats
    lag_N: Floats

    @classmethod
    def of(cls, said: Side, true: Side, padded_union: bool) -> Pairs:
        """All pairs."""
        size_V = said.count_V * true.count_V
        video_N = np.repeat(np.arange(len(size_V)), size_V)
        within_N = np.arange(len(video_N)) - np.repeat(np.cumsum(size_V) - size_V, size_V)
        row_N, column_N = np.divmod(within_N, np.maximum(true.count_V, 1)[video_N])
        said_N, true_N = said.start_V[video_N] + row_N, true.start_V[video_N] + column_N
        edges = (*said.span_M2[said_N].T, *true.span_M2[true_N].T)
        iou_N = padded_iou(*edges) if padded_union else hull_iou(*edges)
        return cls(said, true, said_N, true_N, iou_N, np.abs(edges[0] - edges[2]))

    @cached_property
    def block_V(self) -> list[slice]:
        """Pairs of each video."""
        ends = np.cumsum(self.said.count_V * self.true.count_V).tolist()
        return [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]

    def matrix(self, values_N: NDArray[Number], video: int) -> NDArray[Number]:
        """Values of a video's pairs, [P, G]."""
        return values_N[self.block_V[video]].reshape(self.said.count_V[video], self.true.count_V[video])

    def meeting(self, threshold: float, reach: Literal["at", "above"], alone: bool) -> Mask:
        """Which pairs [N] meet at an IoU; where `alone`, each caption and each event in one pair at most."""
        if not alone:
            return self.iou_N > threshold if reach == "above" else self.iou_N >= threshold
        return self._alone(self.iou_N, threshold, reach)

    def near(self, lag_s: float, alone: bool) -> Mask:
        """Which pairs [N] start less than `lag_s` apart; where `alone` as in `meeting`."""
        if not alone:
            return self.lag_N < lag_s
        return self._alone(1.0 / (1.0 + self.lag_N), 1.0 / (1.0 + lag_s), "above")

    def _alone(self, close_N: Floats, threshold: float, reach: Literal["at", "above"]) -> Mask:
        slack = _SLACK if reach == "above" else -_SLACK
        hit_N = close_N >= threshold + slack
        rival_N = (self._hits(hit_N, self.said_N, self.said) > 1) | (
            self._hits(hit_N, self.true_N, self.true) > 1
        )
        hitting_N = np.where(hit_N, close_N, -1.0)
        # Only where something is met twice is there anything to assign.
        for video in np.unique(self.said.video_M[self.said_N[hit_N & rival_N]]).tolist():
            block = self.block_V[video]
            hit_PG = self.matrix(hitting_N, video)
            chosen_PG = np.zeros(hit_PG.shape, dtype=bool)
            for pair in one_to_one(hit_PG, threshold + slack):
                chosen_PG[pair] = True
            hit_N[block] = chosen_PG.ravel()
        return hit_N

    def _hits(self, hit_N: Mask, place_N: Ints, side: Side) -> Ints:
        return np.bincount(place_N[hit_N], minlength=len(side.texts))[place_N]

    def shares(self, hit_N: Mask) -> tuple[Floats, Floats]:
        """Shares [V] of a video's captions that are in some pair, and of its events; of none 0."""
        return (
            _share(self.said_N[hit_N], self.said),
            _share(self.true_N[hit_N], self.true),
        )


def padded_iou(start_N: Floats, end_N: Floats, true_start_N: Floats, true_end_N: Floats) -> Floats:
    """IoU [N] as densevid_eval and SODA have it: 1e-8 s more than the smaller of hull and sum of lengths."""
    with np.errstate(over="ignore"):  # what has no difference meets nothing
        common_N = np.maximum(np.minimum(end_N, true_end_N) - np.maximum(start_N, true_start_N), 0.0)
        hull_N = np.maximum(end_N, true_end_N) - np.minimum(start_N, true_start_N)
        union_N = np.minimum(hull_N, end_N - start_N + true_end_N - true_start_N) + _PAD_S
    return np.divide(common_N, union_N, out=np.zeros_like(union_N), where=common_N > 0)


def best_shares(
    shares: Sequence[tuple[Floats, Floats]], known_SV: Mask, apart: bool
) -> tuple[Floats, Floats]:
    """Precision and recall [V] from those of each reference set, of the set with the best F1, or best apart.

    Args:
        shares: precision and recall [V] by set.
        known_SV: whether the set has the video.
        apart: whether the two may come from different sets.
    """
    both_S2V = np.where(known_SV[:, None], np.array(shares), -1.0)
    if apart:
        best_2V = both_S2V.max(axis=0)
    else:
        f1_SV = np.where(known_SV, harmonic_mean(*np.maximum(both_S2V, 0.0).swapaxes(0, 1)), -1.0)
        best_2V = np.take_along_axis(both_S2V, f1_SV.argmax(axis=0)[None, None], axis=0)[0]
    return best_2V[0], best_2V[1]


def _share(places: Ints, side: Side) -> Floats:
    hit_M = np.zeros(len(side.texts), dtype=bool)
    hit_M[places] = True
    return np.bincount(side.video_M[hit_M], minlength=len(side.count_V)) / np.maximum(side.count_V, 1)
