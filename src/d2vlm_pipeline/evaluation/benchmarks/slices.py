"""Where a system is good: headline figures over queries that are alike in one way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from d2vlm_pipeline.evaluation.benchmarks.figures import headline_measures
from d2vlm_pipeline.evaluation.benchmarks.records import Measure, Query, Scored, Span
from d2vlm_pipeline.evaluation.bootstrap import estimates
from d2vlm_pipeline.evaluation.contributions import Contribution

_DURATION_EDGES_S = (30.0, 60.0, 150.0, 600.0)
_LENGTH_EDGES_S = (5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True)
class Sliced:
    """A headline figure over the queries of one slice, in the unit of the metrics; n counts queries."""

    path: tuple[str, ...]
    dimension: str
    name: str
    n: int
    value: float
    low: float
    high: float


def slice_scores(scored: Scored, resamples: int, confidence: float, seed: int) -> list[Sliced]:
    """Every headline measure over every slice; a dimension with one slice says nothing and is left out."""
    slices = slices_of(scored.queries)
    found = []
    for measure in headline_measures(scored):
        row_of = {name: place for place, name in enumerate(dict.fromkeys(measure.ids))}
        rows = np.array([row_of[name] for name in measure.ids], dtype=np.intp)
        masks = [(key, _mask(members, row_of)) for key, members in slices.items()]
        masks = [(key, mask_Q) for key, mask_Q in masks if mask_Q.any() and not mask_Q.all()]
        parts = [_part(measure, mask_Q[rows]) for _, mask_Q in masks]
        results = estimates(parts, resamples, confidence, seed)
        for ((dimension, name), mask_Q), result in zip(masks, results, strict=True):
            if result is not None:
                value, low, high = (measure.unit * share for share in result)
                found.append(Sliced(measure.path, dimension, name, int(mask_Q.sum()), value, low, high))
    return found


def slices_of(queries: Sequence[Query]) -> dict[tuple[str, str], set[str]]:
    """(dimension, slice) to the ids of its queries, in reading order."""
    slices: dict[tuple[str, str], set[str]] = {}
    for dimension, (order, name_of) in DIMENSIONS.items():
        members: dict[str, set[str]] = {}
        for query in queries:
            if name := name_of(query):
                members.setdefault(name, set()).add(query.id)
        names = [name for name in order if name in members] if order else sorted(members)
        if len(names) > 1:
            slices |= {(dimension, name): members[name] for name in names}
    return slices


def _mask(members: set[str], row_of: Mapping[str, int]) -> NDArray[np.bool_]:
    return np.array([name in members for name in row_of], dtype=bool)


def _part(measure: Measure, mask_R: NDArray[np.bool_]) -> Contribution:
    """The measure with nothing from outside the slice: the same videos are drawn for every slice."""
    whole = measure.contribution
    return replace(whole, stats_RS=np.where(mask_R[:, None], whole.stats_RS, 0.0))


def _bands(edges: Sequence[float]) -> tuple[str, ...]:
    """Names of what lies between the edges: `< 30 s`, `30-60 s`, `≥ 60 s`."""
    middle = [f"{low:g}-{high:g} s" for low, high in pairwise(edges)]
    return f"< {edges[0]:g} s", *middle, f"≥ {edges[-1]:g} s"


def _band(value: float, edges: Sequence[float]) -> str:
    return _bands(edges)[int(np.searchsorted(edges, value, side="right"))]


def _duration(query: Query) -> str:
    return "" if query.duration_s is None else _band(query.duration_s, _DURATION_EDGES_S)


def _events(query: Query) -> str:
    count = len(query.truth)
    return str(count) if count < 3 else "3-5" if count < 6 else "≥ 6"


def _length(query: Query) -> str:
    if not query.truth:
        return ""
    return _band(sum(end_s - start_s for start_s, end_s in query.truth) / len(query.truth), _LENGTH_EDGES_S)


def _overlap(query: Query) -> str:
    if len(query.truth) < 2:
        return ""
    return "overlapping" if has_overlap(query.truth) else "apart"


def has_overlap(spans: Sequence[Span]) -> bool:
    """Whether some instant lies in two of the intervals."""
    ordered = sorted(spans)
    reach_s = -np.inf
    for start_s, end_s in ordered:
        if start_s < reach_s and end_s > start_s:
            return True
        reach_s = max(reach_s, end_s)
    return False


DIMENSIONS: dict[str, tuple[tuple[str, ...], Callable[[Query], str]]] = {
    "duration of video": (_bands(_DURATION_EDGES_S), _duration),
    "true events": (("0", "1", "2", "3-5", "≥ 6"), _events),
    "mean length of true intervals": (_bands(_LENGTH_EDGES_S), _length),
    "true events overlap": (("apart", "overlapping"), _overlap),
    "group": ((), lambda query: query.group),
}
"""What slices are made by: their reading order, empty for alphabetical, and a query's slice, "" for none."""
