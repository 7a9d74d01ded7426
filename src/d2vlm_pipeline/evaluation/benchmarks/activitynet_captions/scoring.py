"""Dense captions under a set of rules: figures, and what each video adds to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.localisation import localisation
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.meetings import meetings
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.pairs import Pairs, Side
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.records import (
    LAGS_S,
    NOTHING,
    TIOUS,
    Captions,
    Dense,
    Material,
    Rules,
)
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.sentences import sentence_scores
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.story import (
    PARTS,
    STORIES,
    WITH_SENTENCES,
    story_scores,
)
from d2vlm_pipeline.evaluation.benchmarks.grounding import Grounding, score_grounding
from d2vlm_pipeline.evaluation.benchmarks.grounding.scoring import check_within
from d2vlm_pipeline.evaluation.benchmarks.records import Counts, Measure, Query, Scored, Tree
from d2vlm_pipeline.evaluation.captions import meteor_unavailable
from d2vlm_pipeline.evaluation.contributions import Combine, Contribution, f1_of_means, ratio
from d2vlm_pipeline.evaluation.overlap import Floats

AVERAGE = "average"
HEADLINE = (
    *((name, "f1") for name in STORIES),
    *((AVERAGE, name) for name in ("METEOR", "CIDEr", "F1", "Precision", "Recall")),
)


def score(material: Material, rules: Rules) -> Scored:
    """Figures of dense captions, or of intervals of given queries, in percent.

    Raises:
        UserError: no video to score; where the rules are strict a prediction of an unknown video, or times
            that are none of its video's.
    """
    if isinstance(material, Grounding):
        return score_grounding(material, rules.grounding)
    return _score_dense(material, rules)


def _score_dense(dense: Dense, rules: Rules) -> Scored:
    _check(dense, rules)
    videos = [video for video in dense.videos if rules.missing or video in dense.told]
    if not videos:
        raise UserError("no video of the truth has a prediction, so there is nothing to score; check the ids")
    why_no_meteor = meteor_unavailable()
    measures = _measures(dense, videos, rules, meteor=why_no_meteor is None)
    paths = {measure.path for measure in measures}
    return Scored(
        metrics=_tree(measures),
        measures=measures,
        queries=tuple(_query(dense, video) for video in dense.videos),
        counts=_counts(dense),
        headline=tuple(path for path in HEADLINE if path in paths),
        unavailable=dict.fromkeys(("METEOR", *WITH_SENTENCES), why_no_meteor) if why_no_meteor else {},
        notes=tuple(_notes(dense, videos)),
    )


def _check(dense: Dense, rules: Rules) -> None:
    """Refuse what no such video can have; public scripts count it somehow."""
    known = set(dense.videos)
    for video, captions in dense.told.items() if rules.strict else ():
        if video not in known:
            raise UserError(
                f"{captions.place}: no video {video!r} in the truth; give the truth it was made for"
            )
        lasts_s = [found.duration_s for one in dense.references if (found := one.get(video)) is not None]
        for number, span in enumerate(captions.spans, start=1):
            check_within(span, lasts_s[0], f"{captions.place}: item {number}")


def _measures(dense: Dense, videos: Sequence[str], rules: Rules, meteor: bool) -> tuple[Measure, ...]:
    said = Side.of([_looked_at(dense.told.get(video, NOTHING), rules) for video in videos])
    pairs = [
        Pairs.of(said, Side.of([one.get(video, NOTHING) for video in videos]), rules.padded_union)
        for one in dense.references
    ]
    known_SV = np.array([[video in one for video in videos] for one in dense.references])

    def measure(path: tuple[str, ...], values_VS: Floats, combine: Combine = ratio) -> Measure:
        stats_VS = np.column_stack([values_VS, np.ones(len(videos))])
        return Measure(path, tuple(videos), Contribution(tuple(videos), stats_VS, combine, 0))

    found = []
    for name, shares_V3 in story_scores(pairs, known_SV, dense.words, rules, meteor).items():
        found += [measure((name, part), shares_V) for part, shares_V in zip(PARTS, shares_V3.T, strict=True)]
    for name, score_TV in sentence_scores(meetings(pairs, rules), dense.words, rules, meteor).items():
        found += [measure((name, str(place)), score_V) for place, score_V in enumerate(score_TV)]
        found.append(measure((AVERAGE, name), score_TV.mean(axis=0)))
    precision_KV, recall_KV = localisation(pairs, known_SV, rules)
    tious = slice(len(TIOUS))
    for name, share_KV in (("Recall", recall_KV), ("Precision", precision_KV)):
        found += [measure((name, str(place)), share_V) for place, share_V in enumerate(share_KV)]
        found.append(measure((AVERAGE, name), share_KV[tious].mean(axis=0)))
    both_KV2 = np.stack([precision_KV, recall_KV], axis=-1)
    found += [measure(("F1", str(place)), both_V2, f1_of_means) for place, both_V2 in enumerate(both_KV2)]
    both_VS = np.concatenate([precision_KV[tious], recall_KV[tious]]).T
    return (*found, measure((AVERAGE, "F1"), both_VS, f1_of_means))


def _looked_at(captions: Captions, rules: Rules) -> Captions:
    """Captions as the rules look at them: in an order of their own where the file's must not matter."""
    both = list(zip(captions.spans, captions.texts, strict=True))[: rules.limit]
    if rules.strict:
        both.sort()
    return Captions(tuple(span for span, _ in both), tuple(text for _, text in both))


def _tree(measures: Sequence[Measure]) -> Tree:
    """Figures where they belong: a list has one for each threshold, averages come last."""
    tree: Tree = {}
    averages: Tree = {}
    for name, found in _by_name(measures).items():
        figures = {inner: measure.unit * measure.contribution.total for inner, measure in found.items()}
        if name == AVERAGE:
            averages = dict(figures)
        else:
            tree[name] = dict(figures) if name in STORIES else list(figures.values())
    return {**tree, AVERAGE: averages}


def _by_name(measures: Sequence[Measure]) -> dict[str, dict[str, Measure]]:
    found: dict[str, dict[str, Measure]] = {}
    for measure in measures:
        found.setdefault(measure.path[0], {})[measure.path[1]] = measure
    return found


def _query(dense: Dense, video: str) -> Query:
    told = dense.told.get(video)
    true = next(one[video] for one in dense.references if video in one)
    return Query(
        id=video,
        video=video,
        status="missing" if told is None else "parsed",
        truth=true.spans,
        said=told.spans if told is not None else (),
        answer=_told(told) if told is not None else "",
        duration_s=true.duration_s,
    )


def _told(captions: Captions) -> str:
    lines = zip(captions.spans, captions.texts, strict=True)
    return "\n".join(f"{start_s:g}-{end_s:g} s: {text.strip()}" for (start_s, end_s), text in lines)


def _counts(dense: Dense) -> Counts:
    answered = sum(video in dense.told for video in dense.videos)
    return Counts(
        queries=len(dense.videos),
        parsed=answered,
        unparsed=0,
        missing=len(dense.videos) - answered,
        unknown=len(dense.told) - answered,
    )


def _notes(dense: Dense, videos: Sequence[str]) -> list[str]:
    tious = " ".join(f"{tiou:g}" for tiou in TIOUS)
    lags = " ".join(f"{lag_s:g}" for lag_s in LAGS_S)
    notes = [
        f"all figures are percent; lists are by IoU {tious}, of Recall, Precision and F1 then by distance of "
        f"starts below {lags} s; averages are over the IoUs"
    ]
    if len(videos) != len(dense.videos):
        notes.append(f"the figures are means over {len(videos)} of {len(dense.videos)} videos")
    for what, sets in (("predicted", [dense.told]), ("true", dense.references)):
        backward = sum(
            end_s <= start_s for one in sets for found in one.values() for start_s, end_s in found.spans
        )
        if backward:
            notes.append(f"{backward} {what} intervals end where they start or before; they meet nothing")
    return notes
