"""Figures of dense captioning, each a mean over videos."""

from collections.abc import Sequence

import numpy as np

from d2vlm_pipeline.evaluation.benchmarks.records import Counts, Measure, Query, Scored, Tree
from d2vlm_pipeline.evaluation.benchmarks.youcook2.files import Cooking, Video
from d2vlm_pipeline.evaluation.benchmarks.youcook2.pairing import Edges, Flags, meetings
from d2vlm_pipeline.evaluation.benchmarks.youcook2.rules import DenseRules
from d2vlm_pipeline.evaluation.benchmarks.youcook2.wording import Wording
from d2vlm_pipeline.evaluation.contributions import Contribution, ratio
from d2vlm_pipeline.evaluation.overlap import Floats, harmonic_mean

_HEADLINE = ("F1_Score", "CIDER", "METEOR", "SODA_c_2", "SODA_c_1", "SODA_c_3")
_COUNTED = "n_preds"
_ABSENT = -1.0  # what the script writes for a set of annotations that is not there


def score(cooking: Cooking, rules: DenseRules) -> Scored:
    """`CIDER METEOR Precision@τ Recall@τ Precision_Mean Recall_Mean F1_Score SODA_c_2 n_preds`, percent.

    Under strict rules `CIDER` weighs words by the captions of all videos, and `CIDER_per_video` by those of
    the video at hand.

    Raises:
        UserError: where the rules refuse them, predictions of unknown videos or in another unit of time; Java
            failed.
    """
    if rules.refuses_surplus:
        cooking.refuse_surplus()
    videos = cooking.videos
    edges = Edges.of(videos, rules)
    met = [meetings(edges, threshold, rules) for threshold in rules.thresholds]
    values = found_events(edges, [found_E for found_E, _ in met], rules)
    wording = Wording(videos, edges, [told_E for _, told_E in met])
    values = wording.cider(rules) | values
    spoken, unavailable = wording.by_meteor(rules, f"SODA_c_{cooking.annotation_set}")
    values |= spoken | {_COUNTED: np.array([float(len(video.said)) for video in videos])}
    queries = tuple(_query(video) for video in videos)
    measures = tuple(_measure(name, value_V, queries) for name, value_V in values.items())
    metrics: Tree = {
        measure.path[0]: measure.unit * float(values[measure.path[0]].mean()) for measure in measures
    }
    metrics |= dict.fromkeys(unavailable)
    if rules.both_sets:
        metrics |= {name: 100 * _ABSENT for name in ("SODA_c_1", "SODA_c_2") if name not in metrics}
    return Scored(
        metrics=metrics,
        measures=measures,
        queries=queries,
        counts=_counts(queries, len(cooking.strangers)),
        headline=tuple((name,) for name in _HEADLINE if name in values),
        unavailable=unavailable,
        notes=tuple(_notes(videos, rules)),
    )


def found_events(edges: Edges, found: Sequence[Flags], rules: DenseRules) -> dict[str, Floats]:
    """Precision and recall [V] by threshold, their means over thresholds, and the F1 of the means.

    Args:
        edges: predictions beside events.
        found: pairs [E] that find an event, by threshold.
        rules: for the thresholds.
    """
    shares = [edges.shares(found_E) for found_E in found]
    values: dict[str, Floats] = {}
    for threshold, (precision_V, recall_V) in zip(rules.thresholds, shares, strict=True):
        values |= {f"Precision@{threshold:g}": precision_V, f"Recall@{threshold:g}": recall_V}
    precision_V, recall_V = np.mean(shares, axis=0)
    return values | {
        "Precision_Mean": precision_V,
        "Recall_Mean": recall_V,
        "F1_Score": harmonic_mean(precision_V, recall_V),
    }


def _query(video: Video) -> Query:
    return Query(
        id=video.id,
        video=video.id,
        status="parsed" if video.said else "unparsed" if video.listed else "missing",
        truth=video.truth,
        said=video.said,
        answer=" ".join(video.told),
        duration_s=video.duration_s,
    )


def _measure(name: str, value_V: Floats, queries: Sequence[Query]) -> Measure:
    ids = tuple(query.id for query in queries)
    unparsed = sum(query.status != "parsed" for query in queries)
    stats_V2 = np.stack([value_V, np.ones(len(value_V))], axis=1)
    unit = 1.0 if name == _COUNTED else 100.0
    return Measure((name,), ids, Contribution(ids, stats_V2, ratio, unparsed), unit)


def _counts(queries: Sequence[Query], unknown: int) -> Counts:
    statuses = [query.status for query in queries]
    return Counts(
        queries=len(queries),
        parsed=statuses.count("parsed"),
        unparsed=statuses.count("unparsed"),
        missing=statuses.count("missing"),
        unknown=unknown,
    )


def _notes(videos: Sequence[Video], rules: DenseRules) -> list[str]:
    spans = [(span, video.duration_s) for video in videos for span in video.said]
    backwards = sum(start_s > end_s for (start_s, end_s), _ in spans)
    beyond = sum(duration_s is not None and start_s >= duration_s for (start_s, _), duration_s in spans)
    notes = []
    if backwards and not rules.turned_around:
        notes.append(f"{backwards} of {len(spans)} predictions end before they begin; they meet no event")
    if beyond:
        notes.append(f"{beyond} of {len(spans)} predictions begin after the end of their video")
    return notes
