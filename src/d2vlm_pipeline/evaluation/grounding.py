"""When it happens: moment retrieval, episodic memory, action localisation, summary, highlight, similar event.

Samples whose event does not occur have no interval to find: they leave every interval metric and are scored
by `absent_recall` (the answer says so); `absent_false_alarm` is the share of present events that are
denied. Each metric on the answer half has a twin `…_evi` on the evidence half.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from d2vlm_pipeline.evaluation.contributions import (
    Combine,
    Contribution,
    MetricContext,
    at_thresholds,
    contribution,
    f1_of_means,
    mean_of,
    ratio,
)
from d2vlm_pipeline.evaluation.overlap import (
    Floats,
    first_iou,
    harmonic_mean,
    midpoint_hit,
    overlap_f1,
    precision_recall,
    reaches,
)
from d2vlm_pipeline.evaluation.pairs import SUFFIX, Half, Pair


@dataclass(frozen=True)
class Rule:
    """How intervals are judged against the truth: statistics of one sample, and what their sums mean.

    `stats(pred[..., P, 2], truth_G2, thresholds) -> [..., S]`, without the count.
    """

    stats: Callable[[Floats, Floats, Sequence[float]], Floats]
    combine: Combine


def first_hits(pred: Floats, truth_G2: Floats, thresholds: Sequence[float]) -> Floats:
    """Mean over thresholds of whether the first interval reaches it."""
    return reaches(first_iou(pred, truth_G2), thresholds).mean(axis=-1)[..., None]


def detection_f1(pred: Floats, truth_G2: Floats, thresholds: Sequence[float]) -> Floats:
    """Mean over thresholds of this sample's own F1 of precision and recall."""
    precision, recall = precision_recall(pred, truth_G2, thresholds)
    return harmonic_mean(precision, recall).mean(axis=-1)[..., None]


def precisions_recalls(pred: Floats, truth_G2: Floats, thresholds: Sequence[float]) -> Floats:
    """Precision at every threshold, then recall at every threshold."""
    return np.concatenate(precision_recall(pred, truth_G2, thresholds), axis=-1)


FIRST_HIT = Rule(first_hits, ratio)
DETECTION = Rule(detection_f1, ratio)
COVERAGE = Rule(lambda pred, truth_G2, thresholds: overlap_f1(pred, truth_G2)[..., None], ratio)
MIDPOINT = Rule(lambda pred, truth_G2, thresholds: midpoint_hit(pred, truth_G2)[..., None], ratio)
F1_OF_MEANS = Rule(precisions_recalls, f1_of_means)


def first_interval_metrics(pairs: Sequence[Pair], context: MetricContext) -> dict[str, Contribution]:
    """tvg, epm: `f1` (mean of `r1@τ`), `r1@τ`, `miou`, all of the first interval emitted."""
    return _first_interval(pairs, context, mean_name="f1")


def similar_event_metrics(pairs: Sequence[Pair], context: MetricContext) -> dict[str, Contribution]:
    """tem: `rec` (mean of `r1@τ`), `r1@τ`, `miou`; any of the similar events will do."""
    return _first_interval(pairs, context, mean_name="rec")


def localisation_metrics(pairs: Sequence[Pair], context: MetricContext) -> dict[str, Contribution]:
    """tal: `f1` (mean of `f1@τ`), F1 of each sample's own precision and recall."""
    metrics = _by_rule(pairs, context.thresholds, "f1", DETECTION)
    for name, threshold in zip(at_thresholds("f1", context.thresholds), context.thresholds, strict=True):
        metrics |= _by_rule(pairs, (threshold,), name, DETECTION)
    return metrics | answer_form(pairs)


def summary_metrics(pairs: Sequence[Pair], context: MetricContext) -> dict[str, Contribution]:
    """evs: `f1` of covered seconds."""
    return _by_rule(pairs, context.thresholds, "f1", COVERAGE) | answer_form(pairs)


def highlight_metrics(pairs: Sequence[Pair], context: MetricContext) -> dict[str, Contribution]:
    """vhd: `f1`, the share of first intervals whose midpoint lies in a true highlight."""
    return _by_rule(pairs, context.thresholds, "f1", MIDPOINT) | answer_form(pairs)


def answer_form(pairs: Sequence[Pair]) -> dict[str, Contribution]:
    """`absent_recall` and `absent_false_alarm` by half; `unpaired`: references without evidence."""
    metrics = {"unpaired": mean_of(pairs, [pair.has_unpaired for pair in pairs])} if pairs else {}
    absent = [pair for pair in pairs if not pair.sample.events]
    shown = present(pairs)
    for half, suffix in SUFFIX.items():
        if absent:
            metrics[f"absent_recall{suffix}"] = mean_of(absent, [pair.denies(half) for pair in absent])
        if shown:
            metrics[f"absent_false_alarm{suffix}"] = mean_of(shown, [pair.denies(half) for pair in shown])
    return metrics


def present(pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs whose event occurs."""
    return [pair for pair in pairs if pair.sample.events]


def rule_contribution(
    pairs: Sequence[Pair], half: Half, thresholds: Sequence[float], rule: Rule
) -> Contribution:
    """One rule on one half of every pair."""
    rows = [rule.stats(pair.intervals_P2(half), pair.truth_G2, thresholds) for pair in pairs]
    return contribution(pairs, rows, rule.combine)


def first_ious(pairs: Sequence[Pair], half: Half) -> Floats:
    """IoU of each pair's first interval with the truth it fits best, [R]."""
    return np.array([float(first_iou(pair.intervals_P2(half), pair.truth_G2)) for pair in pairs])


def _first_interval(pairs: Sequence[Pair], context: MetricContext, mean_name: str) -> dict[str, Contribution]:
    metrics: dict[str, Contribution] = {}
    shown = present(pairs)
    for half, suffix in SUFFIX.items() if shown else ():
        ious = first_ious(shown, half)
        hits_RT = reaches(ious, context.thresholds).astype(np.float64)
        metrics[f"{mean_name}{suffix}"] = mean_of(shown, hits_RT.mean(axis=1))
        metrics[f"miou{suffix}"] = mean_of(shown, ious)
        for name, hits in zip(at_thresholds("r1", context.thresholds), hits_RT.T, strict=True):
            metrics[name + suffix] = mean_of(shown, hits)
    return metrics | answer_form(pairs)


def _by_rule(
    pairs: Sequence[Pair], thresholds: Sequence[float], name: str, rule: Rule
) -> dict[str, Contribution]:
    shown = present(pairs)
    if not shown:
        return {}
    return {
        name + suffix: rule_contribution(shown, half, thresholds, rule) for half, suffix in SUFFIX.items()
    }
