"""When it happens: tvg, epm, tem, tal, evs, vhd."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from d2vlm_pipeline.evaluation.benchmarks.etbench.figures import (
    THRESHOLDS,
    Figure,
    Part,
    at_thresholds,
    mean_of,
)
from d2vlm_pipeline.evaluation.benchmarks.etbench.items import Item
from d2vlm_pipeline.evaluation.benchmarks.etbench.rules import ETBenchRules
from d2vlm_pipeline.evaluation.benchmarks.etbench.said import intervals_of, moments_of, scores_evidence
from d2vlm_pipeline.evaluation.benchmarks.etbench.tables import pair_tables, precision_recall
from d2vlm_pipeline.evaluation.benchmarks.records import Span
from d2vlm_pipeline.evaluation.overlap import Floats, merged
from d2vlm_pipeline.evaluation.reading import Said

_SLACK = 1e-9  # an overlap of exactly three tenths reaches 0.3 whatever the last bit says
_EXACT_T = np.array(THRESHOLDS) - _SLACK
_SINGLE_T = np.array(THRESHOLDS).astype(np.float32).astype(np.float64)
_TWIN = "_evi"


def located_part(task: str, source: str, items: Sequence[Item], rules: ETBenchRules) -> Part:
    """Figures of a source of tvg, epm, tem, tal or evs."""
    said = [intervals_of(item, rules) for item in items]
    figures = _FIGURES[task](items, said, rules, scores_evidence(items, rules))
    return Part(
        task=task,
        source=source,
        items=tuple(items),
        figures=tuple(figures),
        read=tuple(bool(one.answer) for one in said),
        said=tuple(one.answer for one in said),
        failed=sum(not one.answer for one in said),
    )


def highlight_part(task: str, source: str, items: Sequence[Item], rules: ETBenchRules) -> Part:
    """vhd: `F1`, the share of answers whose moment lies in a true highlight, ends included."""
    moments = [moments_of(item, rules) for item in items]
    figures = [
        mean_of("F1" + suffix, [_inside(item, both[half]) for item, both in zip(items, moments, strict=True)])
        for half, suffix in _halves(scores_evidence(items, rules))
    ]
    return Part(
        task=task,
        source=source,
        items=tuple(items),
        figures=tuple(figures),
        read=tuple(answer is not None for answer, _ in moments),
        said=tuple(() if answer is None else ((answer, answer),) for answer, _ in moments),
        failed=sum(answer is None for answer, _ in moments),
    )


def overlaps(pred_X2: Floats, true_X2: Floats, single: bool) -> Floats:
    """IoU [X] of pairs, 0 where neither interval has any length; with 32-bit arithmetic where `single`."""
    if single:
        pred_X2, true_X2 = pred_X2.astype(np.float32), true_X2.astype(np.float32)
    start_s = np.maximum(pred_X2[:, 0], true_X2[:, 0])
    end_s = np.minimum(pred_X2[:, 1], true_X2[:, 1])
    inter = np.maximum(end_s - start_s, 0)
    union = pred_X2[:, 1] - pred_X2[:, 0] + (true_X2[:, 1] - true_X2[:, 0]) - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union != 0).astype(np.float64)


def best_overlaps(spans: Sequence[Sequence[Span]], items: Sequence[Item], single: bool) -> Floats:
    """IoU [R] of the interval and the truth that fit best, of each question; 0 without either."""
    tables = pair_tables(spans, [item.truth for item in items])
    best_R = np.zeros(len(items))
    ious = overlaps(tables.pred_X2, tables.true_X2, single)
    np.maximum.at(best_R, tables.question_S[tables.said_X], ious)
    return best_R


def reaching(values: Floats, rules: ETBenchRules) -> NDArray[np.bool_]:
    """Whether each value reaches each threshold [..., T]; numbers of 32 bits are taken as they are."""
    return values[..., None] >= np.asarray(THRESHOLDS) - (0.0 if rules.single_precision else _SLACK)


def first_interval_figures(
    items: Sequence[Item],
    spans: Sequence[tuple[Sequence[Span], Sequence[Span]]],
    rules: ETBenchRules,
    names: tuple[str, str],
    twins: bool,
) -> list[Figure]:
    """`mIoU`, shares at each threshold and their mean, of what each half is judged by.

    Args:
        spans: of each question, the intervals of answer and evidence that count.
        names: of the share at a threshold, and of the mean.
    """
    figures = []
    for half, suffix in _halves(twins):
        ious = best_overlaps([span[half] for span in spans], items, rules.single_precision)
        figures.append(mean_of("mIoU" + suffix, ious))
        hits_RT = reaching(ious, rules).astype(np.float64)
        figures += at_thresholds(names[0] + suffix, hits_RT, names[1] + suffix)
    return figures


def _grounding(items: Sequence[Item], said: Sequence[Said], rules: ETBenchRules, twins: bool) -> list[Figure]:
    most = None if rules.any_interval else 1
    spans = [(one.answer[:most], one.evidence[:most]) for one in said]
    return first_interval_figures(items, spans, rules, ("F1", "F1"), twins)


def _similar(items: Sequence[Item], said: Sequence[Said], rules: ETBenchRules, twins: bool) -> list[Figure]:
    spans = [(one.answer[:1], one.evidence[:1]) for one in said]
    return first_interval_figures(items, spans, rules, ("R", "mRec"), twins)


def _actions(items: Sequence[Item], said: Sequence[Said], rules: ETBenchRules, twins: bool) -> list[Figure]:
    f1_RT = _detection_f1([one.answer for one in said], items, rules)
    figures = at_thresholds("F1", f1_RT, "F1")
    if twins:
        evidence_RT = _detection_f1([one.evidence for one in said], items, rules)
        if rules.tal_resets:
            evidence_RT = _after_resets(f1_RT, evidence_RT)
        figures += at_thresholds("F1" + _TWIN, evidence_RT, "F1" + _TWIN)
    return figures


def _detection_f1(spans: Sequence[Sequence[Span]], items: Sequence[Item], rules: ETBenchRules) -> Floats:
    """F1 [R, T] of the intervals that meet some truth and the truths that are met."""
    tables = pair_tables(spans, [item.truth for item in items])
    ious_X = overlaps(tables.pred_X2, tables.true_X2, rules.single_precision)
    # Here the script compares tensors, and a threshold becomes a 32-bit number too.
    levels_T = _SINGLE_T if rules.single_precision else _EXACT_T
    precision, recall = precision_recall(tables, ious_X[:, None] >= levels_T)
    # Either both are above zero or neither is.
    f1: Floats = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    return f1


def _after_resets(answer_RT: Floats, evidence_RT: Floats) -> Floats:
    """What stays of the evidence's scores where one without any match clears all before it."""
    counted = answer_RT > 0
    kept = np.where(counted, evidence_RT, 0.0)
    for place in range(kept.shape[1]):
        resets = np.flatnonzero(counted[:, place] & (evidence_RT[:, place] == 0))
        if len(resets):
            kept[: resets[-1], place] = 0.0
    return kept


def _summary(items: Sequence[Item], said: Sequence[Said], rules: ETBenchRules, twins: bool) -> list[Figure]:
    counts = [bool(one.answer) or not rules.evs_parsed_only for one in said]
    halves = [
        (one.answer + one.evidence,) * 2 if rules.evs_united and one.answer else (one.answer, one.evidence)
        for one in said
    ]
    figures = []
    for half, suffix in _halves(twins):
        pairs = zip(items, halves, strict=True)
        values = [_seconds_f1(spans[half], item.truth, rules) for item, spans in pairs]
        figures.append(mean_of("F1" + suffix, values, counts))
    return figures


def _seconds_f1(spans: Sequence[Span], truth: Sequence[Span], rules: ETBenchRules) -> float:
    """F1 of whole seconds: times rounded to the second, each second once."""
    pred_N2, true_N2 = _whole_seconds(spans, rules), _whole_seconds(truth, rules)
    start_s = np.maximum(pred_N2[:, None, 0], true_N2[:, 0])
    end_s = np.minimum(pred_N2[:, None, 1], true_N2[:, 1])
    common_s = np.maximum(end_s - start_s, 0.0).sum()
    total_s = (pred_N2[:, 1] - pred_N2[:, 0]).sum() + (true_N2[:, 1] - true_N2[:, 0]).sum()
    return float(2 * common_s / total_s) if common_s else 0.0


def _whole_seconds(spans: Sequence[Span], rules: ETBenchRules) -> Floats:
    times_N2 = np.rint(np.array(spans, dtype=np.float64).reshape(-1, 2))
    times_N2 = np.clip(times_N2, 0.0, rules.evs_limit_s)
    return merged(times_N2[times_N2[:, 0] < times_N2[:, 1]])


def _halves(twins: bool) -> tuple[tuple[int, str], ...]:
    """Places of the halves that are scored, and what their figures' names end with."""
    return ((0, ""), (1, _TWIN)) if twins else ((0, ""),)


def _inside(item: Item, moment_s: float | None) -> bool:
    return moment_s is not None and any(start_s <= moment_s <= end_s for start_s, end_s in item.truth)


_FIGURES = {"tvg": _grounding, "epm": _grounding, "tem": _similar, "tal": _actions, "evs": _summary}
