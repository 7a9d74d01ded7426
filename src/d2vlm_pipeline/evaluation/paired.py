"""Two systems on the same clips: what each clip adds to a score, and how far one could be behind the other.

A score's interval says little about a difference: clips that are hard are hard for both. Sums by clip are
kept beside the scores, so that the same clips can be drawn again for both systems (Koehn 2004).
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.evaluation.bootstrap import clip_sums, resampled_sums
from d2vlm_pipeline.evaluation.contributions import Combine, Contribution, f1_of_means, ratio
from d2vlm_pipeline.evaluation.overlap import Floats

CombineName = Literal["ratio", "f1_of_means"]

COMBINES: dict[CombineName, Combine] = {"ratio": ratio, "f1_of_means": f1_of_means}
"""From summed statistics to a score, by the name under which it is kept."""

_NAMES = {combine: name for name, combine in COMBINES.items()}
_DECIMALS = 9


class ClipSums(StrictModel):
    """One metric before it is summed up over clips.

    Attributes:
        combine: how sums become the score.
        clips: names in sorted order.
        sums: statistics of each clip, [C, S]; the last is the number of its samples.
    """

    combine: CombineName
    clips: tuple[str, ...] = Field(min_length=1)
    sums: tuple[tuple[float, ...], ...]

    @model_validator(mode="after")
    def _one_row_a_clip(self) -> Self:
        if len(self.sums) != len(self.clips) or len({len(row) for row in self.sums}) != 1:
            raise ValueError("sums: needs one row a clip, all of one length")
        if any(row[-1] <= 0 for row in self.sums):
            raise ValueError("sums: every clip needs a sample")
        return self

    @property
    def array_CS(self) -> Floats:
        """The sums, [C, S]."""
        return np.array(self.sums, dtype=np.float64)

    @property
    def value(self) -> float:
        """The score in percent."""
        return 100.0 * float(COMBINES[self.combine](self.array_CS.sum(axis=0)))

    def is_paired_with(self, other: ClipSums) -> bool:
        """Whether both are the same metric of the same questions."""
        same = (self.combine, self.clips) == (other.combine, other.clips)
        return same and [row[-1] for row in self.sums] == [row[-1] for row in other.sums]


class Loss(NamedTuple):
    """How far a score is behind another one, in points, and how far it could be."""

    points: float
    upper: float


def sums_of(contribution: Contribution) -> ClipSums:
    """A metric's statistics by clip.

    Raises:
        KeyError: its statistics combine in a way that has no name here.
    """
    return ClipSums(
        combine=_NAMES[contribution.combine],
        clips=tuple(sorted(set(contribution.clips))),
        sums=tuple(map(tuple, clip_sums(contribution).round(_DECIMALS).tolist())),
    )


def paired_loss(ours: ClipSums, theirs: ClipSums, resamples: int, confidence: float, seed: int) -> Loss:
    """How many points `ours` is behind `theirs`, and the one-sided upper confidence bound of that.

    Args:
        ours, theirs: paired sums; every draw takes the same clips of both.
        resamples: draws of as many clips as there are.
        confidence: share of the draws in which the loss is at most the bound.
        seed: of the draws.
    """
    combine = COMBINES[ours.combine]
    both_C2S = np.concatenate([theirs.array_CS, ours.array_CS], axis=1)
    drawn_B2S = resampled_sums(both_C2S, resamples, seed)
    theirs_BS, ours_BS = np.split(drawn_B2S, 2, axis=1)
    losses_B = 100.0 * (combine(theirs_BS) - combine(ours_BS))
    upper = float(np.quantile(losses_B, confidence))
    # The last bits are noise of the sums: a loss of exactly the limit must stay that.
    return Loss(round(theirs.value - ours.value, _DECIMALS), round(upper, _DECIMALS))
