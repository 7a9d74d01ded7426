"""How far a score could have come out differently: percentile bootstrap over clips.

Questions on one clip stand or fall together, so clips are drawn, not samples.
"""

from collections.abc import Callable, Iterator, Sequence
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
    draws = contribution.combine(resampled_sums(sums_CS, resamples, seed))
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(draws, [tail, 1.0 - tail])
    return Estimate(float(contribution.combine(sums_CS.sum(axis=0))), float(low), float(high))


def estimates(
    contributions: Sequence[Contribution], resamples: int, confidence: float, seed: int
) -> list[Estimate | None]:
    """`estimate` of many, each set of clips drawn once; None where a value is undefined, as a share of none.

    Draws in which a metric is undefined leave its interval.
    """
    found: list[Estimate | None] = [None] * len(contributions)
    tail = (1.0 - confidence) / 2.0
    for places, sums_CS in _by_clips(contributions):
        drawn_BS = resampled_sums(sums_CS, resamples, seed)
        total_S, start = sums_CS.sum(axis=0), 0
        for place in places:
            part = slice(start, start := start + contributions[place].stats_RS.shape[1])
            with np.errstate(divide="ignore", invalid="ignore"):
                value = float(contributions[place].combine(total_S[part]))
                draws = contributions[place].combine(drawn_BS[:, part])
            if np.isfinite(value):
                low, high = np.nanquantile(draws, [tail, 1.0 - tail])
                found[place] = Estimate(value, float(low), float(high))
    return found


def _by_clips(contributions: Sequence[Contribution]) -> Iterator[tuple[list[int], Floats]]:
    """(places, their sums within clips side by side) of the contributions that share a set of clips."""
    rows: dict[tuple[str, ...], tuple[tuple[str, ...], NDArray[np.intp]]] = {}
    groups: dict[tuple[str, ...], list[tuple[int, Floats]]] = {}
    for place, contribution in enumerate(contributions):
        if contribution.clips not in rows:  # naming the clips of rows is slow, and most metrics have the same
            clips, row_clip = np.unique(np.array(contribution.clips, dtype=object), return_inverse=True)
            rows[contribution.clips] = tuple(clips.tolist()), row_clip
        names, row_clip = rows[contribution.clips]
        if names:
            sums_CS = _summed(contribution.stats_RS, row_clip, len(names))
            groups.setdefault(names, []).append((place, sums_CS))
    for members in groups.values():
        yield [place for place, _ in members], np.concatenate([sums for _, sums in members], axis=1)
def estimate_statistics(
    clips: Sequence[str],
    statistics: Callable[[NDArray[np.intp]], Sequence[float] | Floats],
    resamples: int,
    confidence: float,
    seed: int,
) -> list[Estimate]:
    """Values and percentile intervals of statistics that are no functions of sums (they sort, say).

    Args:
        clips: the clip of each row; the draws are those of `estimate` over as many clips.
        statistics: rows, as often as they were drawn, to numbers.
    """
    names, row_clip = np.unique(np.array(clips), return_inverse=True)
    rows = np.arange(len(row_clip))
    counts_BC = _draw_counts(len(names), resamples, seed)
    draws_BK = np.array([statistics(np.repeat(rows, counts_C[row_clip])) for counts_C in counts_BC])
    tail = (1.0 - confidence) / 2.0
    low_K, high_K = np.quantile(draws_BK, [tail, 1.0 - tail], axis=0)
    found = zip(statistics(rows), low_K, high_K, strict=True)
    return [Estimate(float(value), float(low), float(high)) for value, low, high in found]


def clip_sums(contribution: Contribution) -> Floats:
    """Statistics summed within each clip, [C, S], clips in sorted order."""
    clips, row_clip = np.unique(np.array(contribution.clips), return_inverse=True)
    return _summed(contribution.stats_RS, row_clip, len(clips))


def _summed(stats_RS: Floats, row_clip: NDArray[np.intp], clips: int) -> Floats:
    sums_CS = np.zeros((clips, stats_RS.shape[1]))
    np.add.at(sums_CS, row_clip, stats_RS)
    return sums_CS


def resampled_sums(sums_CS: Floats, resamples: int, seed: int) -> Floats:
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
