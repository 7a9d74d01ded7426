"""What is wrong with an answer, as kinds that a reader can filter by."""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from d2vlm_pipeline.evaluation.benchmarks.records import Query
from d2vlm_pipeline.evaluation.overlap import Floats, first_iou, iou, midpoint_hit, one_to_one, overlap_f1
from d2vlm_pipeline.evaluation.pairs import Half, Pair, plain_caption
from d2vlm_pipeline.timeline import GROUNDED_TASKS

HIT_IOU = 0.5
"""An interval with this IoU is in its place; the kinds below describe one that falls short of it."""

_OTHER_LENGTH = 1.5
_FULL_SCORE = 100.0 - 1e-6
_DENSE_TASKS = ("dvc", "slc", "tvc")
_DETECTING_TASKS = ("tal", *_DENSE_TASKS)


class Kind(StrEnum):
    """Kinds of error, and `RIGHT` where there is none; the text is what the page shows."""

    NO_PREDICTION = "no prediction"
    UNPARSED = "unparsed"
    DENIED = "wrongly denied"
    FALSE_ALARM = "false alarm"
    MISSED = "missed"
    WRONG_PLACE = "wrong place"
    TOO_LONG = "too long"
    TOO_SHORT = "too short"
    WRONG_OPTION = "wrong option"
    WRONG_ANSWER = "wrong answer"
    OTHER_WORDS = "other words"
    WRONG_EVIDENCE = "right answer, evidence off"
    RIGHT = "right"


def kinds_of(pair: Pair) -> tuple[Kind, ...]:
    """What is wrong with an answer, in the order of `Kind`; `(RIGHT,)` where nothing is.

    Intervals are judged at an IoU of 0.5 (`evs` by the F1 of covered seconds, `vhd` by the midpoint); one
    that falls short is too long or too short from 1.5 times the other length on, else in the wrong place.
    Words are other words as soon as they differ in more than case and punctuation.
    """
    if pair.prediction is None:
        return (Kind.NO_PREDICTION,)
    if not pair.parsed:
        return (Kind.UNPARSED,)
    found = _wrong_words(pair)
    if pair.sample.task in GROUNDED_TASKS:
        places = _wrong_places(pair, "answer")
        found |= places
        if not places and pair.prediction.evidence and _wrong_places(pair, "evidence"):
            found.add(Kind.WRONG_EVIDENCE)
    return tuple(kind for kind in Kind if kind in found) or (Kind.RIGHT,)


def kinds_of_query(query: Query, score: float) -> tuple[Kind, ...]:
    """Likewise of a query of a public benchmark, of which only intervals, status and score are known.

    Of ranked intervals any may meet a true one; a full score is right, whatever the rules asked for.
    """
    if query.status != "parsed":
        return (Kind.NO_PREDICTION if query.status == "missing" else Kind.UNPARSED,)
    if score >= _FULL_SCORE:
        return (Kind.RIGHT,)
    said_P2, truth_G2 = (
        np.array(spans, dtype=np.float64).reshape(-1, 2) for spans in (query.said, query.truth)
    )
    found = set()
    if len(said_P2) and not len(truth_G2):
        found.add(Kind.FALSE_ALARM)
    elif len(said_P2) and len(truth_G2) == 1:
        best = iou(said_P2, truth_G2)[:, 0].argmax()
        found |= _wrong_single(said_P2[best : best + 1], truth_G2)
    elif len(said_P2):
        found |= _wrong_detections(said_P2, truth_G2) - {Kind.FALSE_ALARM}
    elif len(truth_G2):
        found.add(Kind.MISSED)
    if not found:
        return (Kind.WRONG_ANSWER if score < _FULL_SCORE / 2 else Kind.RIGHT,)
    return tuple(kind for kind in Kind if kind in found)


def _wrong_words(pair: Pair) -> set[Kind]:
    sample = pair.sample
    if sample.options is not None:
        return set() if pair.is_right_option else {Kind.WRONG_OPTION}
    if sample.task == "rvc":
        return set() if _words(pair.text) == _words(sample.answer) else {Kind.OTHER_WORDS}
    if sample.task in _DENSE_TASKS:
        said, truth = pair.captions("answer"), [event.caption for event in sample.events]
        matches = one_to_one(iou(pair.intervals_P2("answer"), pair.truth_G2), HIT_IOU)
        if any(_words(said[p]) != _words(truth[g]) for p, g in matches):
            return {Kind.OTHER_WORDS}
    return set()


def _wrong_places(pair: Pair, half: Half) -> set[Kind]:
    pred_P2, truth_G2 = pair.intervals_P2(half), pair.truth_G2
    if not len(truth_G2):
        return {Kind.FALSE_ALARM} if len(pred_P2) else set()
    if not len(pred_P2):
        return {Kind.DENIED if pair.denies(half) else Kind.MISSED}
    task = pair.sample.task
    if task in _DETECTING_TASKS:
        return _wrong_detections(pred_P2, truth_G2)
    if task == "evs":
        return set() if float(overlap_f1(pred_P2, truth_G2)) >= HIT_IOU else {_shape(pred_P2, truth_G2)}
    if task == "vhd":
        return set() if float(midpoint_hit(pred_P2, truth_G2)) else {Kind.WRONG_PLACE}
    return _wrong_single(pred_P2[:1], truth_G2)


def _wrong_single(pred_12: Floats, truth_G2: Floats) -> set[Kind]:
    """One claim against the true interval that it fits best."""
    if float(first_iou(pred_12, truth_G2)) >= HIT_IOU:
        return set()
    nearest = int(iou(pred_12, truth_G2)[0].argmax())
    return {_shape(pred_12, truth_G2[nearest : nearest + 1])}


def _wrong_detections(pred_P2: Floats, truth_G2: Floats) -> set[Kind]:
    """Events and claims that found no partner: each alone is missed or claimed, both at one place are off."""
    iou_PG = iou(pred_P2, truth_G2)
    matches = one_to_one(iou_PG, HIT_IOU)
    lone_P = [p for p in range(len(pred_P2)) if p not in {p for p, _ in matches}]
    lone_G = [g for g in range(len(truth_G2)) if g not in {g for _, g in matches}]
    found: set[Kind] = set()
    for g in lone_G:
        touching = [p for p in lone_P if iou_PG[p, g] > 0]
        if touching:
            p = max(touching, key=lambda p: iou_PG[p, g])
            lone_P.remove(p)
            found.add(_shape(pred_P2[p : p + 1], truth_G2[g : g + 1]))
        else:
            found.add(Kind.MISSED)
    return found | ({Kind.FALSE_ALARM} if lone_P else set())


def _shape(pred_P2: Floats, truth_G2: Floats) -> Kind:
    """How intervals that fall short differ from the truth; without a common instant, by their place."""
    if not iou(pred_P2, truth_G2).any():
        return Kind.WRONG_PLACE
    ratio = float(np.diff(pred_P2).sum() / np.diff(truth_G2).sum())
    if ratio >= _OTHER_LENGTH:
        return Kind.TOO_LONG
    return Kind.TOO_SHORT if ratio <= 1 / _OTHER_LENGTH else Kind.WRONG_PLACE


def _words(text: str) -> Sequence[str]:
    return "".join(letter if letter.isalnum() else " " for letter in plain_caption(text).casefold()).split()
