"""What each sample adds to a metric, kept apart so that clips can be drawn again.

A metric is a function of sums of per-sample statistics: a plain mean of (value, 1), an F1 of means of
(precision, recall, 1). Summing within a clip and then over clips gives its value; summing over drawn clips,
its bootstrap.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from d2vlm_pipeline.evaluation.overlap import Floats, harmonic_mean
from d2vlm_pipeline.evaluation.pairs import Pair

Combine = Callable[[Floats], Floats]
"""Sums of statistics [..., S] to values [...] in [0, 1]; the last statistic is the number of samples."""

Embed = Callable[[Sequence[str]], Floats]
"""Texts to unit vectors [N, D]."""


@dataclass(frozen=True)
class MetricContext:
    """What metrics need beside the pairs; without `embed` caption similarity is left out."""

    thresholds: tuple[float, ...]
    seed: int = 0
    embed: Embed | None = None


@dataclass(frozen=True)
class Contribution:
    """One metric before it is summed up.

    Attributes:
        clips: video of each row.
        stats_RS: statistics of each row.
        combine: from summed statistics to the value.
        unparsed: how many of the rows have no parsed prediction.
        ids: sample of each row, where rows are samples.
    """

    clips: tuple[str, ...]
    stats_RS: Floats
    combine: Combine = field(repr=False)
    unparsed: int
    ids: tuple[str, ...] = ()

    @property
    def total(self) -> float:
        """The value over all rows."""
        return float(self.combine(self.stats_RS.sum(axis=0)))


MetricFunction = Callable[[Sequence[Pair], MetricContext], dict[str, Contribution]]


def ratio(sums: Floats) -> Floats:
    """Mean from (sum of values, count)."""
    return sums[..., 0] / sums[..., -1]


def f1_of_means(sums: Floats) -> Floats:
    """Mean over thresholds of the F1 of mean precision and mean recall; sums (precisions, recalls, count)."""
    count = sums[..., -1:]
    precision, recall = np.split(sums[..., :-1], 2, axis=-1)
    return harmonic_mean(precision / count, recall / count).mean(axis=-1)


def contribution(pairs: Sequence[Pair], stats: Sequence[Floats] | Floats, combine: Combine) -> Contribution:
    """Contribution with one row of statistics a pair; the count is appended here."""
    stats_RS = np.asarray(stats, dtype=np.float64).reshape(len(pairs), -1)
    return Contribution(
        clips=tuple(pair.sample.video for pair in pairs),
        stats_RS=np.concatenate([stats_RS, np.ones((len(pairs), 1))], axis=1),
        combine=combine,
        unparsed=sum(not pair.parsed for pair in pairs),
        ids=tuple(pair.sample.id for pair in pairs),
    )


def mean_of(pairs: Sequence[Pair], values: Sequence[float] | Floats) -> Contribution:
    """Contribution of a metric that is the mean of one value a pair."""
    return contribution(pairs, np.asarray(values, dtype=np.float64), ratio)


def at_thresholds(name: str, thresholds: Sequence[float]) -> list[str]:
    """Metric names by threshold: `r1@0.5`."""
    return [f"{name}@{threshold:g}" for threshold in thresholds]
