"""Figures of one source, each as what every question adds to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from d2vlm_pipeline.evaluation.benchmarks.etbench.items import Item
from d2vlm_pipeline.evaluation.benchmarks.records import Measure, Span
from d2vlm_pipeline.evaluation.contributions import Combine, Contribution
from d2vlm_pipeline.evaluation.overlap import Floats

THRESHOLDS = (0.1, 0.3, 0.5, 0.7)


@dataclass(frozen=True)
class Figure:
    """A figure: statistics [R, S] of each question, and how their sums make it, a share."""

    name: str
    stats_RS: Floats
    combine: Combine = field(repr=False)

    @property
    def value(self) -> float:
        """The figure over all questions."""
        return float(self.combine(self.stats_RS.sum(axis=0)))


@dataclass(frozen=True)
class Part:
    """What was found about one source of a task.

    Attributes:
        read: of each question, whether its answer could be read.
        said: of each question, the intervals it was read as.
        failed: what the public scripts count as failed.
        extras: counts that only the public scripts report, and metrics that could not be computed.
    """

    task: str
    source: str
    items: tuple[Item, ...]
    figures: tuple[Figure, ...]
    read: tuple[bool, ...]
    said: tuple[tuple[Span, ...], ...]
    failed: int
    extras: Mapping[str, float | None] = field(default_factory=dict)

    def figure(self, name: str) -> Figure | None:
        """The figure of that name."""
        return next((figure for figure in self.figures if figure.name == name), None)


class Rows(NamedTuple):
    """Whose statistics stand in the rows of a figure: names of questions, and their videos."""

    names: tuple[str, ...]
    videos: tuple[str, ...]


def rows_of(items: Sequence[Item]) -> Rows:
    """Of questions in their order."""
    return Rows(tuple(item.name for item in items), tuple(item.video for item in items))


def share(sums: Floats) -> Floats:
    """Sum of values by the number that count; 0 where there are questions and none counts.

    Of (sum of values, how many count, how many questions).
    """
    total, counted, questions = np.moveaxis(sums, -1, 0)
    nothing = np.where(questions > 0, 0.0, np.nan)
    return np.divide(total, counted, out=nothing, where=counted > 0)


def mean_of(name: str, values: Sequence[float] | Floats, counts: Sequence[bool] | None = None) -> Figure:
    """Mean of one value a question, over those that count."""
    values_R = np.asarray(values, dtype=np.float64)
    counts_R = np.ones(len(values_R)) if counts is None else np.asarray(counts, dtype=np.float64)
    return Figure(name, np.stack([values_R * counts_R, counts_R, np.ones(len(values_R))], axis=1), share)


def at_thresholds(name: str, values_RT: Floats, mean: str) -> list[Figure]:
    """`name@τ` for each threshold, and their mean under its own name."""
    by_threshold = [
        mean_of(f"{name}@{threshold:g}", values_RT[:, place]) for place, threshold in enumerate(THRESHOLDS)
    ]
    return [*by_threshold, mean_of(mean, values_RT.mean(axis=1))]


def measure(path: tuple[str, ...], rows: Rows, figure: Figure, unit: float = 1.0) -> Measure:
    """The figure as intervals and comparisons take it."""
    contribution = Contribution(rows.videos, figure.stats_RS, figure.combine, unparsed=0)
    return Measure(path, rows.names, contribution, unit)


def mean_over_sources(figures: Sequence[Figure]) -> Figure:
    """Mean of a task's figure over its sources, each on columns of its own; sources without rows are out."""
    widths = [figure.stats_RS.shape[1] for figure in figures]
    ends = np.cumsum(widths).tolist()
    starts = [end - width for end, width in zip(ends, widths, strict=True)]
    rows = [
        np.pad(figure.stats_RS, ((0, 0), (start, ends[-1] - end)))
        for figure, start, end in zip(figures, starts, ends, strict=True)
    ]

    def combine(sums: Floats) -> Floats:
        parts = np.stack(
            [figure.combine(sums[..., a:b]) for figure, a, b in zip(figures, starts, ends, strict=True)]
        )
        defined = np.isfinite(parts)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(defined, parts, 0.0).sum(axis=0) / defined.sum(axis=0))

    return Figure(figures[0].name, np.concatenate(rows), combine)
