"""Two sets of predictions on one truth, query by query.

Videos, not queries, are drawn and swapped, because the questions on one video stand or fall together. The
interval is a paired percentile bootstrap: both sides of a drawn video are kept. The p-value is the
approximate randomisation test (Noreen 1989; Yeh, COLING 2000, for figures that are no means): under the null
hypothesis it does not matter which of the two answered a video, so the sides are swapped video by video and
the share of swaps with at least the observed difference is counted, the observed one included.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from d2vlm_pipeline.evaluation.benchmarks.figures import by_query, headline_measures
from d2vlm_pipeline.evaluation.benchmarks.records import Measure, Query, Scored
from d2vlm_pipeline.evaluation.bootstrap import resampled_sums
from d2vlm_pipeline.evaluation.overlap import Floats

_CHUNK_COUNTS = 4_000_000
_SLACK = 1e-12
_SHOWN = 10


class Difference(NamedTuple):
    """A headline figure under both, in the unit of the metrics; `difference` is ours less the other's."""

    path: tuple[str, ...]
    value: float
    other: float
    difference: float
    low: float
    high: float
    p_value: float
    videos: int


class Side(NamedTuple):
    """One side of a change."""

    score: float
    status: str
    answer: str
    said: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Change:
    """A query on which the two differ.

    Attributes:
        change: mean over the headline measures of what the query alone makes of them, ours less the other's.
        before, after: the other's and ours: that mean, and what was said.
    """

    id: str
    video: str
    question: str
    change: float
    before: Side
    after: Side


@dataclass(frozen=True)
class Comparison:
    """Differences of the headline figures, and the queries that changed most, the greatest first."""

    differences: tuple[Difference, ...]
    better: tuple[Change, ...]
    worse: tuple[Change, ...]
    changed: int


def compare(ours: Scored, other: Scored, resamples: int, confidence: float, seed: int) -> Comparison:
    """What tells two scored files apart; both scored by the same rules on the same truth."""
    others = {measure.path: measure for measure in headline_measures(other)}
    pairs = [(measure, others[measure.path]) for measure in headline_measures(ours) if measure.path in others]
    found = (_difference(a, b, resamples, confidence, seed) for a, b in pairs)
    changes = _changes(pairs, ours.queries, other.queries)
    return Comparison(
        differences=tuple(difference for difference in found if difference is not None),
        better=tuple(change for change in changes if change.change > 0)[:_SHOWN],
        worse=tuple(change for change in changes if change.change < 0)[:_SHOWN],
        changed=sum(change.change != 0 for change in changes),
    )


def _difference(
    ours: Measure, other: Measure, resamples: int, confidence: float, seed: int
) -> Difference | None:
    ours_CS, other_CS = _aligned(ours, other)
    combine, total_ours, total_other = ours.contribution.combine, ours_CS.sum(axis=0), other_CS.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        value, base = float(combine(total_ours)), float(combine(total_other))
        if not np.isfinite(value - base):
            return None
        # The draws depend on the number of videos and the seed alone: both sides are drawn alike.
        drawn_ours, drawn_other = (resampled_sums(side, resamples, seed) for side in (ours_CS, other_CS))
        drawn = combine(drawn_ours) - combine(drawn_other)
        moved = _swapped(other_CS - ours_CS, resamples, seed)
        by_chance = combine(total_ours + moved) - combine(total_other - moved)
    tail = (1.0 - confidence) / 2.0
    low, high = np.nanquantile(drawn, [tail, 1.0 - tail])
    # Undefined under a swap counts as at least as far apart: it is no evidence against chance.
    reached = ~(np.abs(by_chance) < abs(value - base) - _SLACK)
    return Difference(
        path=ours.path,
        value=ours.unit * value,
        other=ours.unit * base,
        difference=ours.unit * (value - base),
        low=ours.unit * float(low),
        high=ours.unit * float(high),
        p_value=(1 + int(reached.sum())) / (1 + resamples),
        videos=len(ours_CS),
    )


def _aligned(ours: Measure, other: Measure) -> tuple[Floats, Floats]:
    """Statistics summed within each video of either, [C, S] each; a video that one lacks adds nothing."""
    videos = sorted({*ours.contribution.clips, *other.contribution.clips})
    place = {video: number for number, video in enumerate(videos)}
    sides = []
    for measure in (ours, other):
        sums_CS = np.zeros((len(videos), measure.contribution.stats_RS.shape[1]))
        rows = [place[clip] for clip in measure.contribution.clips]
        np.add.at(sums_CS, rows, measure.contribution.stats_RS)
        sides.append(sums_CS)
    return sides[0], sides[1]


def _swapped(gain_CS: Floats, resamples: int, seed: int) -> Floats:
    """What swapping the sides of about half of the videos adds to the sums, [B, S]."""
    rng = np.random.default_rng([seed, 1])
    step = max(1, _CHUNK_COUNTS // len(gain_CS))
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    return np.concatenate(
        [rng.integers(0, 2, size=(size, len(gain_CS)), dtype=np.uint8) @ gain_CS for size in sizes]
    )


def _changes(
    pairs: Sequence[tuple[Measure, Measure]], ours: Sequence[Query], other: Sequence[Query]
) -> list[Change]:
    """Queries of both, those that changed most first; ties by id."""
    scores_ours, scores_other = (query_scores([pair[side] for pair in pairs]) for side in (0, 1))
    answered = {query.id: query for query in other}
    changes = []
    for query in ours:
        if query.id in answered:
            before = _side(answered[query.id], scores_other)
            after = _side(query, scores_ours)
            gain = after.score - before.score
            changes.append(Change(query.id, query.video, query.question, gain, before, after))
    return sorted(changes, key=lambda change: (-abs(change.change), change.id))


def query_scores(measures: Sequence[Measure]) -> dict[str, float]:
    """Mean of the measures that a query enters, by query."""
    values: dict[str, list[float]] = {}
    for measure in measures:
        for name, value in by_query(measure).items():
            values.setdefault(name, []).append(value)
    return {name: sum(found) / len(found) for name, found in values.items()}


def _side(query: Query, scores: Mapping[str, float]) -> Side:
    return Side(scores.get(query.id, 0.0), query.status, query.answer, query.said)
