"""Which prediction belongs to which query, and what of a submission is worth a word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.benchmarks.grounding import same_video
from d2vlm_pipeline.evaluation.benchmarks.grounding.scoring import check_within
from d2vlm_pipeline.evaluation.benchmarks.qvhighlights.files import Asked, Said, Submission
from d2vlm_pipeline.evaluation.benchmarks.qvhighlights.rules import LEVELS, Rules


@dataclass(frozen=True, eq=False)
class Row:
    """A query with its predictions in the order given: none, one, or, where rules allow it, several."""

    asked: Asked
    said: tuple[Said, ...]


@dataclass(frozen=True, eq=False)
class Matched:
    """Queries with their predictions.

    Attributes:
        rows: what counts.
        all_rows: every query of the truth.
        duplicates: predictions beyond the first of a query.
        unknown: predictions of no query.
    """

    rows: tuple[Row, ...]
    all_rows: tuple[Row, ...]
    duplicates: int
    unknown: int


def match(submission: Submission, rules: Rules) -> Matched:
    """Predictions beside their queries.

    Raises:
        UserError: as `score`.
    """
    by_id = {asked.id: asked for asked in submission.asked}
    said: dict[str, list[Said]] = {}
    duplicates = unknown = 0
    for line in submission.said:
        asked = by_id.get(line.id)
        if asked is None:
            if rules.missing != "left out":
                raise UserError(f"{line.place}: no query {line.id} in the truth; give the truth it is about")
            unknown += 1
            continue
        if line.id in said:
            if not rules.lenient:
                raise UserError(f"{line.place}: a second prediction of query {line.id}; keep one of them")
            duplicates += 1
        _check_belongs(line, asked, rules)
        said.setdefault(line.id, []).append(line)
    rows = tuple(Row(asked, tuple(said.get(asked.id, ()))) for asked in submission.asked)
    missing = [row.asked.id for row in rows if not row.said]
    if missing and rules.missing == "refused":
        raise UserError(
            f"{len(missing)} queries have no prediction, {missing[0]} the first, which the public script "
            "refuses; score the file as strict, or complete it"
        )
    counted = tuple(row for row in rows if row.said) if rules.missing == "left out" else rows
    if not counted:
        raise UserError("no prediction is of a query of the truth; give the truth that was asked about")
    return Matched(counted, rows, duplicates, unknown)


def _check_belongs(line: Said, asked: Asked, rules: Rules) -> None:
    if line.video not in (None, asked.video) and not same_video(str(line.video), asked.video):
        raise UserError(
            f"{line.place}: video {line.video!r}, but query {asked.id} is about {asked.video!r}; give the "
            "truth that was asked about"
        )
    # Asked of all at once first, for hardly ever is there one to complain about.
    windows_P3 = line.windows_P3
    if windows_P3 is not None and not rules.lenient and (windows_P3[:, :2] >= asked.duration_s).any():
        for start_s, end_s, _ in windows_P3.tolist():
            check_within((start_s, end_s), asked.duration_s, line.place)


def notes_on(submission: Submission, matched: Matched) -> Iterator[str]:
    """What a reader of the figures should know."""
    if len(matched.rows) != len(matched.all_rows):
        yield f"the figures divide by {len(matched.rows)}, not by the {len(matched.all_rows)} queries"
    pairs = [(row.asked, line) for row in matched.rows for line in row.said]
    if submission.has_windows:
        windows_N3 = np.concatenate([np.empty((0, 3)), *[line.windows() for _, line in pairs]])
        durations_N = np.repeat(
            [asked.duration_s for asked, _ in pairs], [len(line.windows()) for _, line in pairs]
        )
        outside = int(((windows_N3[:, 0] < 0) | (windows_N3[:, 1] > durations_N)).sum())
        if outside:
            yield f"{outside} windows begin before 0 or end after their video; they are scored as given"
        backwards = int((windows_N3[:, 1] <= windows_N3[:, 0]).sum())
        if backwards:
            yield f"{backwards} windows end where they start or before; they count as wrong"
    if submission.has_saliency:
        yield _ceiling([row.asked for row in matched.rows])
        gaps = np.array([len(line.saliency()) - len(asked.ratings_CA) for asked, line in pairs])
        if (gaps < 0).any():
            yield f"{int((gaps < 0).sum())} predictions score fewer clips than their video has"
        if (gaps > 0).any():
            yield f"{int((gaps > 0).sum())} predictions score more clips than their video has"


def _ceiling(asked: Sequence[Asked]) -> str:
    """What the best scores would reach: who rated no clip high enough makes 0 of everybody's."""
    counts_Q = np.array([len(each.ratings_CA) for each in asked])
    ratings_NA = np.concatenate([each.ratings_CA for each in asked])
    best_QA = np.maximum.reduceat(ratings_NA, np.cumsum(counts_Q) - counts_Q)
    ap = " ".join(f"{100 * (best_QA >= level).mean():.2f}" for level in LEVELS.values())
    hit = " ".join(f"{100 * (best_QA.max(axis=1) >= level).mean():.2f}" for level in LEVELS.values())
    return (
        f"the best possible HL-mAP is {ap} at Fair, Good, VeryGood, and HL-Hit1 {hit}: where a person rated "
        "no clip that high, it is 0 whatever is predicted"
    )
