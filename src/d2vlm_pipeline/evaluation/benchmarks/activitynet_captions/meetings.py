"""Which caption is compared with which sentence, at each threshold: what the metrics of sentences read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.pairs import Ints, Pairs, Side
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.records import TIOUS, Rules
from d2vlm_pipeline.evaluation.overlap import Floats

_SEED = 0
_SHORTEST, _LONGEST = 10, 20
"""Random letters that a caption is compared with."""


@dataclass(frozen=True)
class Meetings:
    """M captions with what they are compared with, over T thresholds and V videos.

    Attributes:
        said: the captions of all videos.
        sentences: events of every reference set, one set after another, then the random letters of each
            caption where captions are compared with them.
        set_E: reference set of each event.
        threshold_M, said_M, sentence_M: threshold, caption and sentence of each.
    """

    said: Side
    sentences: tuple[str, ...]
    set_E: Ints
    threshold_M: Ints
    said_M: Ints
    sentence_M: Ints

    @property
    def groups(self) -> int:
        """A group is what one video has at one threshold: threshold · V + video."""
        return len(TIOUS) * len(self.said.count_V)

    def group_of(self, threshold: Ints, said: Ints) -> Ints:
        """Group of captions at thresholds."""
        return threshold * len(self.said.count_V) + self.said.video_M[said]

    @cached_property
    def caption_K(self) -> tuple[Ints, Ints]:
        """(threshold, caption), distinct, of what is compared with something, and the place of each of M."""
        key_K, place_M = np.unique(self.threshold_M * len(self.said.texts) + self.said_M, return_inverse=True)
        return key_K, place_M

    @property
    def share_G(self) -> Floats:
        """Share of a video's captions that are compared with something; 0 without captions."""
        threshold_K, said_K = np.divmod(self.caption_K[0], max(len(self.said.texts), 1))
        count_G = np.bincount(self.group_of(threshold_K, said_K), minlength=self.groups)
        return count_G / np.tile(np.maximum(self.said.count_V, 1), len(TIOUS))

    def once(self) -> tuple[Meetings, Ints]:
        """Without groups that equal an earlier one, and for each group [G] that earlier one, or itself.

        A video mostly has the same meetings at several thresholds.
        """
        group_M = self.group_of(self.threshold_M, self.said_M)
        pair_M = (self.said_M * len(self.sentences) + self.sentence_M)[np.argsort(group_M, kind="stable")]
        ends = np.cumsum(np.bincount(group_M, minlength=self.groups)).tolist()
        seen: dict[bytes, int] = {}
        earlier = [
            seen.setdefault(pair_M[start:end].tobytes(), group)
            for group, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True))
        ]
        earlier_G = np.array(earlier, dtype=np.int64)
        kept = earlier_G[group_M] == group_M
        parts = (self.threshold_M[kept], self.said_M[kept], self.sentence_M[kept])
        return Meetings(self.said, self.sentences, self.set_E, *parts), earlier_G

    @property
    def set_M(self) -> Ints:
        """Reference set of each; what is no event is of the first."""
        return np.append(self.set_E, 0)[np.minimum(self.sentence_M, len(self.set_E))]


def meetings(pairs: Sequence[Pairs], rules: Rules) -> Meetings:
    """Captions with the events they meet; what meets none is left out, or compared with random letters."""
    said = pairs[0].said
    sentences = [text for one in pairs for text in one.true.texts]
    first_S = np.cumsum([0, *(len(one.true.texts) for one in pairs)])
    alone_P = np.zeros(len(said.texts), dtype=bool)
    thresholds, captions, compared = [], [], []
    for number, tiou in enumerate(TIOUS):
        masks = [one.meeting(tiou, "at", rules.one_to_one) for one in pairs]
        parts = list(zip(pairs, masks, first_S, strict=False))
        met = np.concatenate([one.said_N[mask_N] for one, mask_N, _ in parts])
        events = np.concatenate([one.true_N[mask_N] + first for one, mask_N, first in parts])
        if rules.unmatched == "letters":
            alone = np.setdiff1d(np.arange(len(said.texts)), met)
            alone_P[alone] = True
            met, events = np.append(met, alone), np.append(events, first_S[-1] + alone)
        thresholds.append(np.full(len(met), number))
        captions.append(met)
        compared.append(events)
    sentences += _letters(alone_P)
    return Meetings(
        said,
        tuple(sentences),
        np.repeat(np.arange(len(pairs)), np.diff(first_S)),
        *(np.concatenate(part).astype(np.int64) for part in (thresholds, captions, compared)),
    )


def _letters(alone_P: NDArray[np.bool_]) -> list[str]:
    """What densevid_eval compares captions with that meet no event, empty for those that always meet one.

    Its own strings cannot be drawn again, since it takes videos in the order of a set; no metric depends on
    which letters they have.
    """
    rng, count = np.random.default_rng(_SEED), len(alone_P)
    codes = rng.integers(ord("a"), ord("z") + 1, size=(count, _LONGEST), dtype=np.uint8)
    drawn = codes.tobytes().decode("ascii")
    starts, lengths = range(0, count * _LONGEST, _LONGEST), rng.integers(_SHORTEST, _LONGEST + 1, size=count)
    return [
        drawn[start : start + length] if alone else ""
        for start, length, alone in zip(starts, lengths.tolist(), alone_P.tolist(), strict=True)
    ]
