"""From a submission to figures, in the keys and the nesting of the public script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from d2vlm_pipeline.evaluation.benchmarks.qvhighlights import highlights, moments
from d2vlm_pipeline.evaluation.benchmarks.qvhighlights.files import Submission
from d2vlm_pipeline.evaluation.benchmarks.qvhighlights.matching import Row, match, notes_on
from d2vlm_pipeline.evaluation.benchmarks.qvhighlights.rules import KEPT, LEVELS, RANGES, THRESHOLDS, Rules
from d2vlm_pipeline.evaluation.benchmarks.records import Counts, Measure, Query, Scored, Tree
from d2vlm_pipeline.evaluation.contributions import Contribution, ratio
from d2vlm_pipeline.evaluation.overlap import Floats

HEADLINE = (
    ("full", "MR-R1", "0.5"),
    ("full", "MR-R1", "0.7"),
    ("full", "MR-mAP", "average"),
    ("long", "MR-mAP", "average"),
    ("middle", "MR-mAP", "average"),
    ("short", "MR-mAP", "average"),
    ("HL-min-VeryGood", "HL-mAP"),
    ("HL-min-VeryGood", "HL-Hit1"),
)
_EMPTY_P3 = np.empty((0, 3))
_BRIEF_MOMENTS = {
    "MR-full-R1@0.5": ("full", "MR-R1", "0.5"),
    "MR-full-R1@0.7": ("full", "MR-R1", "0.7"),
    "MR-full-mAP": ("full", "MR-mAP", "average"),
    "MR-full-mAP@0.5": ("full", "MR-mAP", "0.5"),
    "MR-full-mAP@0.75": ("full", "MR-mAP", "0.75"),
    "MR-long-mAP": ("long", "MR-mAP", "average"),
    "MR-middle-mAP": ("middle", "MR-mAP", "average"),
    "MR-short-mAP": ("short", "MR-mAP", "average"),
}


@dataclass(frozen=True, eq=False)
class _Counted:
    """Queries that a figure counts, and of how many nothing was said that it could judge."""

    ids: tuple[str, ...]
    videos: tuple[str, ...]
    silent: int

    @classmethod
    def of(cls, rows: Sequence[Row], silent: int) -> _Counted:
        ids, videos = tuple(row.asked.id for row in rows), tuple(row.asked.video for row in rows)
        return cls(ids, videos, silent)


@dataclass(frozen=True, eq=False)
class _Figure:
    """A figure as one value for each query that counts; without queries there is none."""

    path: tuple[str, ...]
    counted: _Counted
    values_R: Floats

    def as_published(self, rules: Rules) -> float | None:
        if not len(self.values_R):
            return None
        percent = 100 * float(self.values_R.mean())
        return float(f"{percent:.2f}") if rules.rounded else percent

    def as_measure(self) -> Measure:
        stats_R2 = np.stack([self.values_R, np.ones(len(self.values_R))], axis=1)
        counted = self.counted
        contribution = Contribution(counted.videos, stats_R2, ratio, counted.silent)
        return Measure(self.path, counted.ids, contribution)


def score(submission: Submission, rules: Rules) -> Scored:
    """All figures that the submission allows, percent.

    Raises:
        UserError: two predictions of one query, one of no query or of another video than the query's, queries
            without prediction, or windows beyond the video, where the rules refuse them.
    """
    matched = match(submission, rules)
    queries = tuple(_query(row, submission, rules) for row in matched.all_rows)
    figures: list[_Figure] = []
    with np.errstate(over="ignore"):  # the length of a window from −1e308 to 1e308
        if submission.has_windows:
            figures += _moment_figures(matched.rows, rules)
        if submission.has_saliency:
            figures += _highlight_figures(matched.rows, rules)
    by_path = {figure.path: figure.as_published(rules) for figure in figures}
    return Scored(
        metrics=_tree(by_path, submission),
        measures=tuple(figure.as_measure() for figure in figures if len(figure.values_R)),
        queries=queries,
        counts=_counts(queries, matched.duplicates, matched.unknown),
        headline=tuple(path for path in HEADLINE if by_path.get(path) is not None),
        notes=tuple(notes_on(submission, matched)),
    )


def _moment_figures(rows: Sequence[Row], rules: Rules) -> Iterator[_Figure]:
    first = [row.said[-1].windows() if row.said else _EMPTY_P3 for row in rows]
    if rules.keeps_first:
        pooled = [_pooled(row, KEPT) for row in rows]
        ranked = moments.best_first(pooled, kept=None)
    else:
        ranked = moments.best_first([_pooled(row, None) for row in rows])
    top = moments.as_given(first, kept=1) if rules.top_is_first else moments.best_first(first)
    asked_for = moments.Truths.of([row.asked.windows_G2 for row in rows])
    for name, (low_s, high_s) in RANGES.items():
        truths, kept = asked_for.within(low_s, high_s, rules.ranges_filter)
        counted = _Counted.of([rows[k] for k in kept], sum(not len(first[k]) for k in kept))
        ap_QT = moments.average_precision(ranked.of(kept), truths)
        hit_QT = moments.recall_at_1(top.of(kept), truths).astype(np.float64)
        for column, threshold in enumerate(THRESHOLDS):
            yield _Figure((name, "MR-mAP", str(threshold)), counted, ap_QT[:, column])
            yield _Figure((name, "MR-R1", str(threshold)), counted, hit_QT[:, column])
        yield _Figure((name, "MR-mAP", "average"), counted, ap_QT.mean(axis=1))


def _pooled(row: Row, kept: int | None) -> Floats:
    lists = [said.windows()[:kept] for said in row.said] or [_EMPTY_P3]
    return lists[0] if len(lists) == 1 else np.concatenate(lists)


def _highlight_figures(rows: Sequence[Row], rules: Rules) -> Iterator[_Figure]:
    given = [row.said[-1].saliency() if row.said else np.empty(0) for row in rows]
    ratings = [row.asked.ratings_CA for row in rows]
    speaks_Q = np.array([_speaks(row, rules) for row in rows], dtype=bool)
    scores = [_fitted(s, len(r), rules) for s, r in zip(given, ratings, strict=True)]
    tops = [_top(scores_C, len(each), rules) for scores_C, each in zip(given, ratings, strict=True)]
    top_rating_Q = highlights.best_ratings(tops, ratings)
    counted = _Counted.of(rows, int((~speaks_Q).sum()))
    ap_LQA = highlights.average_precision(scores, ratings, tuple(LEVELS.values()), rules.ties_once)
    for ap_QA, (name, level) in zip(ap_LQA, LEVELS.items(), strict=True):
        hit_Q = (top_rating_Q >= level) & speaks_Q
        yield _Figure((name, "HL-mAP"), counted, ap_QA.mean(axis=1) * speaks_Q)
        yield _Figure((name, "HL-Hit1"), counted, hit_Q.astype(np.float64))


def _speaks(row: Row, rules: Rules) -> bool:
    """Whether there are scores, and ones that prefer some clip to another."""
    if not row.said or not len(row.said[-1].saliency()):
        return False
    return rules.flat_counts or not row.said[-1].is_flat


def _top(scores_C: Floats, count: int, rules: Rules) -> int:
    """The first of the clips scored best; −1 where none is scored."""
    scores_C = scores_C if rules.beyond_wins else scores_C[:count]
    return int(scores_C.argmax()) if len(scores_C) else -1


def _fitted(scores_C: Floats, count: int, rules: Rules) -> Floats:
    """A score for each clip of the video."""
    if len(scores_C) == count:
        return scores_C
    fitted_C = np.full(count, 0.0 if rules.pads_zero else -np.inf)
    fitted_C[: len(scores_C)] = scores_C[:count]
    return fitted_C


def _query(row: Row, submission: Submission, rules: Rules) -> Query:
    said = row.said[-1] if row.said else None
    speaks = said is not None and (bool(said.spans) or (submission.has_saliency and _speaks(row, rules)))
    return Query(
        id=row.asked.id,
        video=row.asked.video,
        status="missing" if said is None else "parsed" if speaks else "unparsed",
        question=row.asked.question,
        truth=row.asked.spans,
        said=said.spans if said is not None else (),
        duration_s=row.asked.duration_s,
    )


def _counts(queries: Sequence[Query], duplicates: int, unknown: int) -> Counts:
    status = [query.status for query in queries]
    return Counts(
        queries=len(queries),
        parsed=status.count("parsed"),
        unparsed=status.count("unparsed"),
        missing=status.count("missing"),
        duplicates=duplicates,
        unknown=unknown,
    )


def _tree(by_path: dict[tuple[str, ...], float | None], submission: Submission) -> Tree:
    """Figures as the public script nests them, the best known first under `brief`."""
    brief: Tree = {}
    if submission.has_windows:
        brief |= {name: by_path[path] for name, path in _BRIEF_MOMENTS.items()}
    tree: Tree = {"brief": brief}
    for path, value in by_path.items():
        node = tree
        for name in path[:-1]:
            inner = node.setdefault(name, {})
            assert isinstance(inner, dict)
            node = inner
        node[path[-1]] = value
        if path[-1] in ("HL-mAP", "HL-Hit1"):
            brief[f"{path[0]}-{path[1].removeprefix('HL-')}"] = value
    return tree
