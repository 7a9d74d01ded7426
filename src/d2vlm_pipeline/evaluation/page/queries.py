"""Queries of a public benchmark in the gallery: time lines without pictures, worst first."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from d2vlm_pipeline.evaluation.benchmarks.comparison import Change, Comparison, query_scores
from d2vlm_pipeline.evaluation.benchmarks.figures import headline_measures
from d2vlm_pipeline.evaluation.benchmarks.records import Query, Scored, Span
from d2vlm_pipeline.evaluation.page.blocks import Gallery, Item, Lane, Unread, Verbatim
from d2vlm_pipeline.evaluation.page.gallery import in_turns, lane
from d2vlm_pipeline.evaluation.page.kinds import Kind, kinds_of_query
from d2vlm_pipeline.timeline import Interval

MEASURE = "headline"
"""What a query is ranked by: the mean of the headline figures that it enters, of this query alone."""

_SPANS_IN_TEXT = 5


def query_gallery(scored: Scored, count: int) -> Gallery:
    """At most `count` queries, every group and kind of error in its turn."""
    scores = query_scores(headline_measures(scored))
    ranked = sorted(
        scored.queries,
        # Silence stands behind what can be looked at.
        key=lambda query: (scores.get(query.id, 0.0), query.status == "missing", query.id),
    )
    kinds = [kinds_of_query(query, scores.get(query.id, 0.0)) for query in ranked]
    keys = [[(kind, query.group) for kind in of] for query, of in zip(ranked, kinds, strict=True)]
    groups = [query.group for query in ranked]
    every_kind = [kind for of in kinds for kind in of]
    return Gallery(
        items=tuple(_item(ranked[index], kinds[index], scores) for index in in_turns(keys, count)),
        total=len(ranked),
        groups={group: groups.count(group) for group in sorted(set(groups))},
        kinds={kind.value: every_kind.count(kind) for kind in Kind if kind in every_kind},
        group_label="Group",
    )


def change_gallery(scored: Scored, comparison: Comparison) -> Gallery:
    """Queries that changed most in either direction, what was said before on a lane of its own."""
    by_id = {query.id: query for query in scored.queries}
    groups = {"better": comparison.better, "worse": comparison.worse}
    items = [
        _changed(by_id[change.id], change, name) for name, changes in groups.items() for change in changes
    ]
    kinds = [kind for item in items for kind in item.kinds]
    return Gallery(
        items=tuple(items),
        total=comparison.changed,
        groups={name: len(changes) for name, changes in groups.items() if changes},
        kinds={kind.value: kinds.count(kind.value) for kind in Kind if kind.value in kinds},
        group_label="Became",
        order="those that changed most",
    )


def _changed(query: Query, change: Change, group: str) -> Item:
    now = _item(query, kinds_of_query(query, change.after.score), {query.id: change.change})
    before = change.before
    ends_s = (end_s for _, end_s in before.said)
    axis_s = query.duration_s or max([now.axis_s or 0.0, *ends_s]) or None
    rows = {"truth": query.truth, "before": before.said, "answer": query.said}
    lanes = (lane(name, _drawable(spans), axis_s) for name, spans in rows.items()) if axis_s else ()
    said = before.answer or _spans_text(before.said) or "(nothing)"
    scores = f"{before.score:.1f} to {change.after.score:.1f}"
    return replace(
        now,
        group=group,
        measure="change",
        axis_s=axis_s,
        lanes=tuple(lanes) if any(rows.values()) else (),
        notes=(("before", said), ("figure", scores)),
    )


def unread_queries(scored: Scored, shown: int = 100) -> Verbatim:
    """Queries whose answer could not be read, or is missing, with what was said."""
    unread = [query for query in scored.queries if query.status != "parsed"]
    counts = {status: sum(query.status == status for query in unread) for status in ("unparsed", "missing")}
    return Verbatim(
        items=tuple(
            Unread(query.id, query.group, "", query.status, query.answer or "(nothing)")
            for query in unread[:shown]
        ),
        total=len(unread),
        reasons=tuple(("predictions", status, count) for status, count in counts.items() if count),
    )


def _item(query: Query, kinds: Sequence[Kind], scores: Mapping[str, float]) -> Item:
    ends_s = (end_s for _, end_s in (*query.truth, *query.said))
    # Where no file says how long the video is, the last interval ends the axis.
    axis_s = query.duration_s or max(ends_s, default=None)
    return Item(
        id=query.id,
        group=query.group,
        kinds=tuple(kind.value for kind in kinds),
        score=scores.get(query.id, 0.0),
        measure=MEASURE,
        question=query.question or query.id,
        truth=_spans_text(query.truth),
        answer=query.answer or _spans_text(query.said) or "(nothing)",
        video=query.video,
        duration_s=query.duration_s,
        axis_s=axis_s,
        lanes=_lanes(query, axis_s) if axis_s else (),
    )


def _lanes(query: Query, axis_s: float) -> tuple[Lane, ...]:
    if not query.truth and not query.said:
        return ()
    rows = {"truth": query.truth, "answer": query.said}
    return tuple(lane(name, _drawable(spans), axis_s) for name, spans in rows.items())


def _drawable(spans: Sequence[Span]) -> list[Interval]:
    """Stretches of time: public predictions may begin before the video or end before they begin."""
    held = ((max(start_s, 0.0), end_s) for start_s, end_s in spans)
    return [Interval(start_s=start_s, end_s=end_s) for start_s, end_s in held if start_s < end_s]


def _spans_text(spans: Sequence[Span]) -> str:
    shown = ", ".join(f"{start_s:.1f} - {end_s:.1f} s" for start_s, end_s in spans[:_SPANS_IN_TEXT])
    more = len(spans) - _SPANS_IN_TEXT
    return f"{shown} and {more} more" if more > 0 else shown
