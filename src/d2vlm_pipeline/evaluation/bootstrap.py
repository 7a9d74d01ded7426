"""How far a score could have come out differently: percentile bootstrap over clips.

Questions on one clip stand or fall together, so clips are drawn, not samples.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from d2vlm_pipeline.evaluation.contributions import Contribution
from d2vlm_pipeline.evaluation.overlap import Floats

# Counts turn into floats to be multiplied: in chunks of about this many, so that memory stays flat.
_CHUNK_COUNTS = 4_000_000


class Estimate(NamedTuple):
    """A value with its interval, all in [0, 1]."""

    value: float
    low: float
    high: float


def estimate(contribution: Contribution, resamples: int, confidence: float, seed: int) -> Estimate:
    """Value and percentile interval of one metric.

    The draws depend on the seed and the number of clips alone: systems scored on the same clips share them,
    and the order of samples does not matter.
    """
    sums_CS = clip_sums(contribution)
    draws = contribution.combine(_resampled_sums(sums_CS, resamples, seed))
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(draws, [tail, 1.0 - tail])
    return Estimate(float(contribution.combine(sums_CS.sum(axis=0))), float(low), float(high))


def clip_sums(contribution: Contribution) -> Floats:
    """Statistics summed within each clip, [C, S], clips in sorted order."""
    clips, row_clip = np.unique(np.array(contribution.clips), return_inverse=True)
    sums_CS = np.zeros((len(clips), contribution.stats_RS.shape[1]))
    np.add.at(sums_CS, row_clip, contribution.stats_RS)
    return sums_CS


def _resampled_sums(sums_CS: Floats, resamples: int, seed: int) -> Floats:
    """Sums [B, S] over as many clips as there are, drawn with replacement."""
    counts_BC = _draw_counts(len(sums_CS), resamples, seed)
    chunk = max(1, _CHUNK_COUNTS // len(sums_CS))
    return np.concatenate(
        [counts_BC[start : start + chunk] @ sums_CS for start in range(0, resamples, chunk)]
    )


@lru_cache(maxsize=2)
def _draw_counts(clips: int, resamples: int, seed: int) -> NDArray[np.uint32]:
    """How often each clip is drawn, [B, C]; kept because every metric of a task wants the same draws."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(clips, np.full(clips, 1.0 / clips), size=resamples).astype(np.uint32)
