"""A judge that sees no video: what the text and the times of a response give away."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from d2vlm_pipeline.preferences.answers import texts_around
from d2vlm_pipeline.preferences.donors import text_key
from d2vlm_pipeline.timeline import GroundedResponse, PreferencePair, Sample

if TYPE_CHECKING:
    import numpy as np

_LEAST_VIDEOS = 10
_BINS = 8


class Side(NamedTuple):
    """One response as it is read: its words without times, and its numbers."""

    words: str
    numbers: tuple[float, ...]
    first_start: float | None
    last_end: float | None


class SidedText(NamedTuple):
    """Both sides of a pair, with what names and measures the difference."""

    video: str
    operators: tuple[str, ...]
    magnitudes: tuple[tuple[str, str, float], ...]
    chosen: Side
    rejected: Side

    def measured(self, name: str) -> tuple[float | None, float | None]:
        """A number of both sides: words, events, first_start or last_end (shares of the clip)."""
        if name == "words":
            return float(len(self.chosen.words.split())), float(len(self.rejected.words.split()))
        if name == "events":
            return self.chosen.numbers[0], self.rejected.numbers[0]
        if name == "first_start":
            return self.chosen.first_start, self.rejected.first_start
        return self.chosen.last_end, self.rejected.last_end


def sided_text(pair: PreferencePair, sample: Sample, duration_s: float) -> SidedText:
    """A pair as a judge without video reads it."""
    magnitudes = tuple(
        (factor.operator, name, float(value))
        for factor in pair.factors
        for name, value in factor.magnitude.items()
        if not isinstance(value, str)
    )
    operators = tuple(factor.operator for factor in pair.factors)
    sides = (_side(response, sample, duration_s) for response in (pair.chosen, pair.rejected))
    return SidedText(sample.video, tuple(dict.fromkeys(operators)), magnitudes, *sides)


def separability(
    texts: Sequence[SidedText], folds: int, resamples: int, seed: int
) -> dict[str, float | int | None]:
    """How well a text-only classifier tells rejected from chosen, on videos that it was not fitted to.

    Logistic regression on words and word pairs (TF-IDF) and on steps at the quantiles of numbers: how many
    events and words, when, how long, how far apart, in what order, how often in the same words. The interval
    is a bootstrap over videos. `auc` is None where there are too few videos; `picked` is the share of pairs
    whose rejected side it names, ties counting half.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    videos = {video: k for k, video in enumerate(sorted({text.video for text in texts}))}
    if len(videos) < max(_LEAST_VIDEOS, folds):
        return {"pairs": len(texts), "auc": None, "low": None, "high": None, "picked": None}
    sides = [side for text in texts for side in (text.chosen, text.rejected)]
    is_rejected = np.tile([0, 1], len(texts))
    group = np.repeat([videos[text.video] for text in texts], 2)
    # Long sums come out differently with every number of threads.
    with threadpool_limits(1):
        scores = _out_of_fold(sides, is_rejected, group, folds)
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(group == index) for index in range(len(videos))]
    draws = []
    for _ in range(resamples):
        drawn = np.concatenate([rows[index] for index in rng.integers(0, len(videos), len(videos))])
        draws.append(_auc(is_rejected[drawn], scores[drawn]))
    low, high = np.quantile(draws, [0.025, 0.975])
    margins = scores[1::2] - scores[0::2]
    return {
        "pairs": len(texts),
        "auc": round(_auc(is_rejected, scores), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "picked": round(float(np.mean((margins > 0) + 0.5 * (margins == 0))), 4),
    }


def _auc(is_rejected: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve by ranks (Mann–Whitney U), ties counting half."""
    from scipy.stats import rankdata

    positive = int(is_rejected.sum())
    rank_sum = float(rankdata(scores)[is_rejected == 1].sum())
    return (rank_sum - positive * (positive + 1) / 2) / (positive * (len(scores) - positive))


def _out_of_fold(
    sides: Sequence[Side], is_rejected: np.ndarray, group: np.ndarray, folds: int
) -> np.ndarray:
    import numpy as np
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold

    words = np.array([side.words for side in sides], dtype=object)
    numbers = np.array([side.numbers for side in sides])
    scores = np.zeros(len(sides))
    for train, test in GroupKFold(folds).split(words, is_rejected, group):
        spoken = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"[^\s]+", max_features=20_000)
        edges = np.quantile(numbers[train], np.linspace(0, 1, _BINS, endpoint=False), axis=0)
        steps = csr_matrix((numbers[:, None] > edges).reshape(len(sides), -1).astype(float))
        seen = hstack([spoken.fit_transform(words[train]), steps[train]], "csr")
        judge = LogisticRegression(max_iter=300).fit(seen, is_rejected[train])
        unseen = hstack([spoken.transform(words[test]), steps[test]], "csr")
        scores[test] = judge.decision_function(unseen)
    return scores


def _side(response: GroundedResponse, sample: Sample, duration_s: float) -> Side:
    scale_s = duration_s or 1.0  # a clip of which nothing is known, and an answer without times
    spans = [(each.start_s, each.end_s) for each in response.evidence]
    head, behind = texts_around(response.segments)
    said = [text_key(text) for text in (head, *behind)]
    words = " <evi> ".join(said)
    starts, ends = [start_s for start_s, _ in spans], [end_s for _, end_s in spans]
    lengths_s = [end_s - start_s for start_s, end_s in spans]
    gaps_s = [later[0] - earlier[1] for earlier, later in pairwise(spans)]
    spoken = [text for text in said if text]
    numbers = (
        float(len(spans)),
        float(len(behind)),
        float(len(words.split())),
        min(starts, default=-1.0),
        max(ends, default=-1.0),
        min(starts, default=-1.0) / scale_s,
        max(ends, default=-1.0) / scale_s,
        min(lengths_s, default=-1.0),
        max(lengths_s, default=-1.0),
        sum(lengths_s) / scale_s,
        min(gaps_s, default=-1.0),
        max(gaps_s, default=-1.0),
        float(sum(gap_s == 0 for gap_s in gaps_s)),
        float(sum(later < earlier for earlier, later in pairwise(starts))),
        float(len(spoken) - len(set(spoken))),
        float(len(words.split()) - len(set(words.split()))),
    )
    first = min(starts) / scale_s if starts else None
    last = max(ends) / scale_s if ends else None
    return Side(words, numbers, first, last)
