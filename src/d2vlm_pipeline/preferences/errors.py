"""What kinds of mistakes an answer makes: read the same way off synthetic wrong answers and off a model's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import log2
from typing import Any, NamedTuple

from d2vlm_pipeline.preferences.answers import caption_in, texts_around
from d2vlm_pipeline.preferences.config import PHRASE_TASKS, TIMED_CAPTION_TASKS
from d2vlm_pipeline.preferences.donors import text_key
from d2vlm_pipeline.preferences.scene import is_chronological
from d2vlm_pipeline.timeline import (
    EvidenceSegment,
    Interval,
    Prediction,
    PreferencePair,
    Sample,
    TextSegment,
)

_RIGHT_IOU = 0.7
_BANDS = (
    (0.3, "boundaries, IoU below 0.3"),
    (0.5, "boundaries, IoU 0.3 to 0.5"),
    (0.7, "boundaries, IoU 0.5 to 0.7"),
)

KINDS = (
    "event set, none given",
    "event set, invented",
    "event set, fewer",
    "event set, more",
    "event set, other order",
    *(name for _, name in _BANDS),
    "text",
    "option",
)


class Said(NamedTuple):
    """An answer as it is judged: its intervals, the words behind each, and all its words."""

    intervals: Sequence[Interval]
    captions: Sequence[str]
    words: str


def said_by_pair(pair: PreferencePair) -> Said:
    """The rejected side of a pair."""
    segments = pair.rejected.segments
    refers = any(isinstance(segment, int) for segment in segments)
    captions = [caption_in(text) for text in texts_around(segments)[1]]
    return Said(pair.rejected.evidence if refers else (), captions, _words(segments))


def said_by_model(prediction: Prediction) -> Said:
    """The answer half of a prediction."""
    segments: list[str | int] = []
    for segment in prediction.segments:
        segments.append(segment.text if isinstance(segment, TextSegment) else len(segments))
    captions = [caption_in(text) for text in texts_around(tuple(segments))[1]]
    found = [each.interval.interval for each in prediction.segments if isinstance(each, EvidenceSegment)]
    return Said(found, captions, _words(segments))


def error_kinds(sample: Sample, said: Said) -> list[str]:
    """What is wrong with an answer to a sample, each kind once; nothing for a right one.

    An interval is right from an IoU of 0.7; the worst of an answer counts. Captions and phrases are right in
    the same words, whatever their case and punctuation; options by their letter.
    """
    from d2vlm_pipeline.evaluation import option_index

    true = sample.response()
    if sample.is_absent:
        return ["event set, invented"] if said.intervals else []
    kinds = _event_kinds(true.evidence, said.intervals) if true.evidence else []
    if sample.options is not None:
        is_right = option_index(said.words, len(sample.options)) == sample.answer_index
        return kinds if is_right else [*kinds, "option"]
    if len(said.intervals) != len(true.evidence):
        return kinds
    if sample.task in TIMED_CAPTION_TASKS:
        ours = [text_key(caption_in(text)) for text in texts_around(true.segments)[1]]
        same = sorted(ours) == sorted(map(text_key, said.captions))
        same = same if "event set, other order" in kinds else ours == list(map(text_key, said.captions))
    else:
        # Where the intervals are the answer, the words around them are a formula.
        says = sample.task == "rvc" or sample.task in PHRASE_TASKS
        same = not says or text_key(_words(true.segments)) == text_key(said.words)
    return kinds if same else [*kinds, "text"]


def _event_kinds(true: Sequence[Interval], said: Sequence[Interval]) -> list[str]:
    if not said:
        return ["event set, none given"]
    if len(said) != len(true):
        return ["event set, fewer" if len(said) < len(true) else "event set, more"]
    worst = _worst_iou(true, said)
    if worst >= _RIGHT_IOU:
        return []
    by_time = (sorted(each, key=lambda interval: interval.start_s) for each in (true, said))
    if not is_chronological(said) and _worst_iou(*by_time) >= _RIGHT_IOU:
        return ["event set, other order"]
    return [next(name for below, name in _BANDS if worst < below)]


def _worst_iou(true: Sequence[Interval], said: Sequence[Interval]) -> float:
    return min(ours.iou(theirs) for ours, theirs in zip(true, said, strict=True))


def _words(segments: Iterable[str | int]) -> str:
    return " ".join(segment for segment in segments if isinstance(segment, str))


class ErrorHistogram:
    """How often each kind of mistake is made, by task; unparsed answers are counted apart."""

    def __init__(self) -> None:
        self.kinds: dict[str, Counter[str]] = {}
        self.answers = 0
        self.right = 0
        self.unparsed = 0

    def add(self, sample: Sample, said: Said | None) -> None:
        """Take in one answer; None for one that is no response."""
        self.answers += 1
        if said is None:
            self.unparsed += 1
            return
        kinds = error_kinds(sample, said)
        self.right += not kinds
        self.kinds.setdefault(sample.task, Counter()).update(kinds)

    def merge(self, other: ErrorHistogram) -> None:
        """Take in the counts of other answers."""
        self.answers += other.answers
        self.right += other.right
        self.unparsed += other.unparsed
        for task, kinds in other.kinds.items():
            self.kinds.setdefault(task, Counter()).update(kinds)

    def total(self, tasks: Iterable[str]) -> Counter[str]:
        """Counts of these tasks together."""
        return sum((self.kinds.get(task, Counter()) for task in tasks), Counter[str]())

    def record(self) -> dict[str, Any]:
        """Counts as JSON types."""
        return {
            "answers": self.answers,
            "right": self.right,
            "unparsed": self.unparsed,
            "kinds": {task: dict(sorted(self.kinds[task].items())) for task in sorted(self.kinds)},
        }


def distance_record(operators: ErrorHistogram, model: ErrorHistogram, least: int = 1) -> dict[str, Any]:
    """How far the mistakes that operators make are from a model's own, over the tasks that both answer.

    Total variation ½ Σ |p − q|, and the Jensen–Shannon divergence in bits (Lin, 1991); both from 0, the same
    shares, to 1, nothing in common. None where either makes fewer than `least`
    mistakes: shares of a handful are chance.
    """
    tasks = sorted(operators.kinds.keys() & model.kinds.keys())
    by_task = {task: _distances(operators.total([task]), model.total([task]), least) for task in tasks}
    ours, theirs = operators.total(tasks), model.total(tasks)
    return {
        "schema": 1,
        "tasks": tasks,
        **_distances(ours, theirs, least),
        "by_task": by_task,
        "shares": {
            kind: {"operators": _share(ours, kind), "model": _share(theirs, kind)}
            for kind in KINDS
            if ours[kind] or theirs[kind]
        },
        "operators": operators.record(),
        "model": model.record(),
    }


def _distances(ours: Counter[str], theirs: Counter[str], least: int) -> dict[str, float | None]:
    if min(ours.total(), theirs.total()) < least:
        return {"total_variation": None, "jensen_shannon": None}
    p, q = ([counts[kind] / counts.total() for kind in KINDS] for counts in (ours, theirs))
    variation = sum(abs(a - b) for a, b in zip(p, q, strict=True)) / 2
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return {"total_variation": round(variation, 4), "jensen_shannon": round(divergence, 4)}


def _relative_entropy(p: Sequence[float], q: Sequence[float]) -> float:
    return sum(a * log2(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def _share(counts: Counter[str], kind: str) -> float:
    return round(counts[kind] / counts.total(), 4) if counts.total() else 0.0
