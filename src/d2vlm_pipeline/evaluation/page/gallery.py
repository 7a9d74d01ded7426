"""Which answers the gallery shows: of every task and every kind of error the worst, in turns."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.contributions import MetricContext
from d2vlm_pipeline.evaluation.metrics import MAIN_METRICS, TASK_METRICS
from d2vlm_pipeline.evaluation.overlap import iou
from d2vlm_pipeline.evaluation.page.blocks import Bar, Film, Gallery, Item, Lane
from d2vlm_pipeline.evaluation.page.kinds import Kind, kinds_of
from d2vlm_pipeline.evaluation.pairs import Pair
from d2vlm_pipeline.timeline import EVI, GROUNDED_TASKS, TASKS, Interval, PredictedInterval

ABSENT_MEASURE = "absent_recall"
"""What an answer about an event that does not happen is judged by."""

_LANE_ORDER = ("question", "truth", "evidence", "answer")


class Judged(NamedTuple):
    """A pair with its kinds of error and what it alone gets of its main measure, in percent."""

    pair: Pair
    kinds: tuple[Kind, ...]
    measure: str
    score: float
    overlap: float

    @property
    def badness(self) -> tuple[float, bool, float, str]:
        """Sorts worst first: by score, silence behind what can be looked at, then by how far it is off."""
        return self.score, self.pair.prediction is None, self.overlap, self.pair.sample.id


def judge(pairs: Sequence[Pair], context: MetricContext) -> list[Judged]:
    """Every pair with its kinds of error and its own score, worst first.

    The score is the task's first main metric, of this one answer; where the event is absent, whether the
    answer says so; where the metric needs a sentence encoder that the context lacks, whether it is right.
    """
    groups: dict[tuple[str, bool], list[Pair]] = {}
    for pair in pairs:
        groups.setdefault((pair.sample.task, pair.sample.is_absent), []).append(pair)
    judged: list[Judged] = []
    for (task, is_absent), group in groups.items():
        measure = ABSENT_MEASURE if is_absent else MAIN_METRICS[task][0]
        # Only where captions are the main measure are they worth a sentence encoder's time.
        embed = context.embed if measure == "cap_sim" else None
        found = TASK_METRICS[task](group, replace(context, embed=embed)).get(measure)
        kinds = [kinds_of(pair) for pair in group]
        if found is None:
            measure, scores = "right", np.array([float(of == (Kind.RIGHT,)) for of in kinds])
        else:
            scores = found.combine(found.stats_RS)
        judged += [
            Judged(pair, of, measure, 100.0 * float(score), _overlap(pair))
            for pair, of, score in zip(group, kinds, scores, strict=True)
        ]
    return sorted(judged, key=lambda one: one.badness)


def choose(judged: Sequence[Judged], count: int) -> list[Judged]:
    """`count` of them, worst first; every task and kind has its turn, so that each filter finds something."""
    kept = in_turns([[(kind, one.pair.sample.task) for kind in one.kinds] for one in judged], count)
    return [judged[index] for index in kept]


def in_turns(keys: Sequence[Sequence[tuple[Kind, str]]], count: int) -> list[int]:
    """Indices, rising, of `count` entries: every key takes the first entry left that has it, in turns."""
    order = list(Kind)
    waiting: dict[tuple[Kind, str], deque[int]] = {}
    for index, held in enumerate(keys):
        for key in held:
            waiting.setdefault(key, deque()).append(index)
    queues = [waiting[key] for key in sorted(waiting, key=lambda key: (order.index(key[0]), key[1]))]
    chosen: set[int] = set()
    while len(chosen) < min(count, len(keys)):
        for queue in queues:
            while queue and queue[0] in chosen:
                queue.popleft()
            if queue and len(chosen) < count:
                chosen.add(queue.popleft())
    return sorted(chosen)


def gallery_of(
    judged: Sequence[Judged],
    chosen: Sequence[Judged],
    durations: Mapping[str, float],
    films: Mapping[str, Film],
) -> Gallery:
    """The chosen answers as items, with counts over all that were judged.

    Raises:
        UserError: a clip without duration.
    """
    shown = sorted({one.pair.sample.video for one in chosen} & films.keys())
    keys = {video: str(number) for number, video in enumerate(shown)}
    groups = [one.pair.sample.task for one in judged]
    kinds = [kind for one in judged for kind in one.kinds]
    return Gallery(
        items=tuple(_item(one, durations, keys) for one in chosen),
        total=len(judged),
        groups={task: groups.count(task) for task in TASKS if task in groups},
        kinds={kind.value: kinds.count(kind) for kind in Kind if kind in kinds},
        films={keys[video]: films[video] for video in shown},
    )


def _item(one: Judged, durations: Mapping[str, float], keys: Mapping[str, str]) -> Item:
    sample, prediction = one.pair
    if sample.video not in durations:
        raise UserError(f"sample {sample.id}: no duration for {sample.video}; ingest the video first")
    notes = []
    if sample.options is not None:
        options = (f"({_letter(k)}) {text}" for k, text in enumerate(sample.options))
        notes.append(("options", "  ".join(options)))
    if prediction is not None and prediction.parse_error is not None:
        notes.append(("unparsed", prediction.parse_error))
    return Item(
        id=sample.id,
        group=sample.task,
        kinds=tuple(kind.value for kind in one.kinds),
        score=one.score,
        measure=one.measure,
        question=with_times(sample.question, sample.query_spans),
        truth=with_times(sample.answer, sample.intervals),
        answer=prediction.answer if prediction else "(no prediction)",
        video=sample.video,
        duration_s=durations[sample.video],
        axis_s=durations[sample.video],
        lanes=_lanes(one.pair, durations[sample.video]),
        film=keys.get(sample.video),
        notes=tuple(notes),
    )


def _lanes(pair: Pair, duration_s: float) -> tuple[Lane, ...]:
    """Lanes that say something: an empty one does only where the task wants intervals."""
    sample, prediction = pair
    held: dict[str, Sequence[Interval]] = {
        "question": sample.query_spans,
        "truth": sample.intervals,
        "evidence": prediction.evidence if prediction else (),
        "answer": prediction.answer_intervals if prediction else (),
    }
    is_grounded = sample.task in GROUNDED_TASKS
    shown = [name for name in _LANE_ORDER if held[name] or (name != "question" and is_grounded)]
    return tuple(lane(name, held[name], duration_s) for name in shown)


def lane(name: str, intervals: Sequence[Interval], duration_s: float) -> Lane:
    """A lane whose bars end with the clip and lie on as many levels as it takes to keep them apart."""
    kept = [interval for interval in intervals if interval.start_s < duration_s]
    levels, depth = levels_of(kept)
    bars = (
        Bar(
            start_s=interval.start_s,
            end_s=min(interval.end_s, duration_s),
            level=level,
            confidence=interval.confidence if isinstance(interval, PredictedInterval) else None,
        )
        for interval, level in zip(kept, levels, strict=True)
    )
    return Lane(name=name, bars=tuple(bars), levels=depth)


def levels_of(intervals: Sequence[Interval]) -> tuple[list[int], int]:
    """A level for each interval so that those of one level do not overlap, and how many levels there are."""
    free_s: list[float] = []
    levels = [0] * len(intervals)
    for index in sorted(range(len(intervals)), key=lambda k: (intervals[k].start_s, intervals[k].end_s)):
        interval = intervals[index]
        open_levels = [level for level, end_s in enumerate(free_s) if end_s <= interval.start_s]
        levels[index] = open_levels[0] if open_levels else len(free_s)
        free_s[levels[index] : levels[index] + 1] = [interval.end_s]
    return levels, max(len(free_s), 1)


def with_times(text: str, spans: Sequence[Interval]) -> str:
    """A text in which every `<evi>` is written out as its interval, in order.

    There may be more intervals than `<evi>`: an ungrounded answer need not point at its events.
    """
    head, *rest = text.split(EVI)
    return head + "".join(
        f"{span.start_s:.1f} - {span.end_s:.1f} s{tail}" for span, tail in zip(spans, rest, strict=False)
    )


def _overlap(pair: Pair) -> float:
    """Mean over the true intervals of the best IoU that some predicted one has with them; 0 without any."""
    iou_PG = iou(pair.intervals_P2("answer"), pair.truth_G2)
    return float(iou_PG.max(axis=0).mean()) if iou_PG.size else 0.0


def _letter(index: int) -> str:
    return chr(ord("A") + index)
