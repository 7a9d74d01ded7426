"""R@1 at IoU thresholds and mean IoU of the first interval said, under any rule about who is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.benchmarks.grounding.files import Asked, Grounding, Said, same_video
from d2vlm_pipeline.evaluation.benchmarks.records import Counts, Measure, Protocol, Query, Scored, Span, Trap
from d2vlm_pipeline.evaluation.contributions import Contribution, ratio
from d2vlm_pipeline.evaluation.overlap import Floats

THRESHOLDS = (0.3, 0.5, 0.7)


@dataclass(frozen=True)
class GroundingRules:
    """How first intervals are counted.

    Attributes:
        over: what the denominator counts: `queries`, all of them; `predicted`, those that have an entry in
            the file of predictions, parsed or not; `parsed`, all entries that name an interval, of whatever
            query.
        strict: an interval that no such video can have is an error; so are entries of unknown queries, which
            only `parsed` can count otherwise.
    """

    over: Literal["queries", "predicted", "parsed"] = "queries"
    strict: bool = True
    thresholds: tuple[float, ...] = THRESHOLDS


STRICT = GroundingRules()
_TIMECHAT = GroundingRules(over="predicted", strict=False)
_D2VLM = GroundingRules(over="parsed", strict=False)

GROUNDING_PROTOCOLS: dict[str, Protocol[GroundingRules]] = {
    "strict": Protocol(STRICT, "all queries count; unparsed and missing ones are wrong"),
    "official": Protocol(_TIMECHAT, "TimeChat's script: all queries of the predictions, unparsed ones wrong"),
    "official:timechat": Protocol(_TIMECHAT, "the same; with --sample where predictions are missing"),
    "official:d2vlm": Protocol(_D2VLM, "D2VLM's script: divides by the number of parsed predictions"),
}

GROUNDING_TRAPS: tuple[Trap[GroundingRules], ...] = (
    Trap(
        replace(STRICT, over="parsed"),
        "it divides by the number of parsed predictions",
        "official:d2vlm",
        1,
    ),
    Trap(
        replace(STRICT, over="predicted"),
        "with --sample, queries without prediction are not asked",
        "official:timechat",
    ),
)


def score_grounding(grounding: Grounding, rules: GroundingRules) -> Scored:
    """R@1 by threshold and mIoU, percent: `{"R1@0.3": …, "mIoU": …}`.

    Raises:
        UserError: two predictions of one query, a prediction of another video than its query's, nothing to
            divide by; where the rules are strict also a prediction of no query, or times that are none of
            the video's.
    """
    by_id = {asked.id: asked for asked in grounding.asked}
    said = _checked(grounding.said, by_id, rules)
    queries = tuple(_query(asked, said.get(asked.id)) for asked in grounding.asked)
    unknown = [entry for entry in grounding.said if entry.id not in by_id]
    rows = _counted(queries, unknown, rules)
    if not rows:
        raise UserError(f"no query is {rules.over}, so there is nothing to divide by; score it as strict")
    measures = _measures(rows, rules)
    values = {measure.path[0]: _value(measure) for measure in measures}
    return Scored(
        metrics=dict(values),
        measures=measures,
        queries=queries,
        counts=Counts(
            queries=len(queries),
            parsed=sum(query.status == "parsed" for query in queries),
            unparsed=sum(query.status == "unparsed" for query in queries),
            missing=sum(query.status == "missing" for query in queries),
            unknown=len(unknown),
        ),
        headline=tuple(measure.path for measure in measures),
        notes=tuple(_notes(queries, rows, rules)),
    )


def first_ious(queries: Sequence[Query]) -> Floats:
    """IoU [R] of each query's first interval with the truth it fits best; 0 without interval.

    The union is the hull of both: where they meet it is their union, elsewhere the IoU is 0 anyway. An
    interval that ends before it starts meets nothing.
    """
    ious_R = np.zeros(len(queries))
    pairs = [
        (row, *query.said[0], *true)
        for row, query in enumerate(queries)
        for true in query.truth
        if query.said
    ]
    if pairs:
        row_N, *edges_N = np.array(pairs, dtype=np.float64).T
        np.maximum.at(ious_R, row_N.astype(int), hull_iou(*edges_N))
    return ious_R


def hull_iou(start_N: Floats, end_N: Floats, true_start_N: Floats, true_end_N: Floats) -> Floats:
    """IoU [N] of pairs of intervals, the union being their hull; 0 where they do not meet."""
    # Of halves: huge times of unlike signs have no difference, and halving changes no quotient.
    start_N, end_N, true_start_N, true_end_N = start_N / 2, end_N / 2, true_start_N / 2, true_end_N / 2
    common_N = np.minimum(end_N, true_end_N) - np.maximum(start_N, true_start_N)
    hull_N = np.maximum(end_N, true_end_N) - np.minimum(start_N, true_start_N)
    return np.divide(common_N, hull_N, out=np.zeros_like(hull_N), where=(common_N > 0) & (hull_N > 0))


def _checked(said: Sequence[Said], by_id: dict[str, Asked], rules: GroundingRules) -> dict[str, Said]:
    found: dict[str, Said] = {}
    for entry in said:
        asked = by_id.get(entry.id)
        if entry.id in found:
            raise UserError(f"{entry.place}: a second prediction of query {entry.id}; keep one of them")
        if asked is None and rules.over != "parsed":
            raise UserError(
                f"{entry.place}: no query {entry.id!r} in the truth; give the truth that was asked about"
            )
        if asked is not None:
            _check_belongs(entry, asked, rules)
        found[entry.id] = entry
    return found


def _check_belongs(entry: Said, asked: Asked, rules: GroundingRules) -> None:
    if entry.video is not None and not same_video(entry.video, asked.video):
        raise UserError(
            f"{entry.place}: video {entry.video!r}, but the query is about {asked.video!r}; give the truth "
            "that was asked about"
        )
    if rules.strict:
        for span in entry.spans:
            check_within(span, asked.duration_s, entry.place)


def check_within(span: Span, duration_s: float | None, place: str) -> None:
    """Refuse an interval of another video or unit; one that merely runs over the end is a wrong answer.

    Raises:
        UserError: it begins after the end of the video, or ends beyond twice its length.
    """
    if duration_s is not None and (span[0] >= duration_s or span[1] > 2 * duration_s):
        raise UserError(
            f"{place}: [{span[0]:g}, {span[1]:g}] is beyond the video, which lasts {duration_s:g} s; give "
            "seconds of that video"
        )


def _query(asked: Asked, said: Said | None) -> Query:
    return Query(
        id=asked.id,
        video=asked.video,
        status="missing" if said is None else "parsed" if said.spans else "unparsed",
        question=asked.question,
        truth=asked.truth,
        said=said.spans if said is not None else (),
        duration_s=asked.duration_s,
    )


def _counted(queries: Sequence[Query], unknown: Sequence[Said], rules: GroundingRules) -> list[Query]:
    """What the denominator counts."""
    if rules.over == "queries":
        return list(queries)
    if rules.over == "predicted":
        return [query for query in queries if query.status != "missing"]
    strangers = [
        Query(entry.id, entry.video or entry.id, "parsed", said=entry.spans)
        for entry in unknown
        if entry.spans
    ]
    return [query for query in queries if query.status == "parsed"] + strangers


def _measures(rows: Sequence[Query], rules: GroundingRules) -> tuple[Measure, ...]:
    ious_R = first_ious(rows)
    hits_RT = ious_R[:, None] >= np.array(rules.thresholds)
    names = [f"R1@{threshold:g}" for threshold in rules.thresholds]
    columns: dict[str, NDArray[Any]] = {**dict(zip(names, hits_RT.T, strict=True)), "mIoU": ious_R}
    ids, videos = tuple(row.id for row in rows), tuple(row.video for row in rows)
    unparsed = sum(row.status != "parsed" for row in rows)
    ones_R = np.ones(len(rows))
    return tuple(
        Measure((name,), ids, Contribution(videos, np.stack([values_R, ones_R], axis=1), ratio, unparsed))
        for name, values_R in columns.items()
    )


def _value(measure: Measure) -> float:
    return measure.unit * float(measure.contribution.combine(measure.contribution.stats_RS.sum(axis=0)))


def _notes(queries: Sequence[Query], rows: Sequence[Query], rules: GroundingRules) -> list[str]:
    notes = []
    if len(rows) != len(queries):
        notes.append(f"the figures divide by {len(rows)}, not by the {len(queries)} queries")
    # Times with one decimal meet a threshold exactly more often than one would think.
    short_RT = np.array(rules.thresholds) - first_ious(rows)[:, None]
    rounded = int(((short_RT > 0) & (short_RT < 1e-9)).any(axis=1).sum())
    if rounded:
        notes.append(
            f"{rounded} IoUs equal a threshold but for the last bit, and miss it as in the public scripts"
        )
    backwards = sum(bool(query.said) and query.said[0][1] <= query.said[0][0] for query in queries)
    if backwards:
        notes.append(f"{backwards} intervals end where they start or before; they count as wrong")
    several = sum(len(query.said) > 1 for query in queries)
    if several:
        notes.append(f"{several} predictions give several intervals; the first is scored")
    return notes
