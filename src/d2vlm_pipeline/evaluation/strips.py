"""Timeline strips: what was asked, when it truly happens, and when each half of the answer says so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from d2vlm_pipeline.artifacts import UserError, derive_seed
from d2vlm_pipeline.evaluation.pairs import Pair, match_predictions
from d2vlm_pipeline.timeline import EVI, GROUNDED_TASKS, TASKS, Interval, Prediction, Sample

Frame = NDArray[np.uint8]
"""One picture, [H, W, 3]."""

_LANE_ORDER = ("question", "truth", "evidence", "answer")


@dataclass(frozen=True)
class Strip:
    """One question on one clip.

    Attributes:
        task: task code.
        question: the question, times written out.
        truth_text, answer_text: what should have been said, and what was.
        is_right: whether the right option was named; None where there are no options.
        lanes: lane name (of `question`, `truth`, `evidence`, `answer`) to its intervals, top to bottom.
        frames: pictures at equal distances over the clip, maybe none.
    """

    task: str
    question: str
    truth_text: str
    answer_text: str
    is_right: bool | None
    duration_s: float
    lanes: Mapping[str, Sequence[Interval]]
    frames: Sequence[Frame] = ()


def choose_strips(
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    durations: Mapping[str, float],
    count: int = 6,
    seed: int = 0,
    frames: Mapping[str, Sequence[Frame]] | None = None,
    tasks: Sequence[str] = TASKS,
) -> list[Strip]:
    """Strips of `count` seeded samples: the tasks take turns, and no clip comes twice while others wait.

    Samples are drawn whatever their score: the picture shows what the system does, not its best.

    Args:
        samples: the truth.
        predictions: one system's answers.
        durations: video to length in seconds.
        count: how many strips at most.
        seed: of the draw.
        frames: video to pictures at equal distances over the clip.
        tasks: task codes to show, in the order of their turns.

    Raises:
        UserError: predictions that do not belong to the samples, or a clip without duration.
    """
    matched = match_predictions(samples, predictions)
    pairs = [pair for pair in matched if pair.prediction is not None and pair.sample.task in tasks]
    pictures = frames or {}
    return [
        strip_of(pair, durations, pictures.get(pair.sample.video, ()))
        for pair in _draw(pairs, count, seed, tasks)
    ]


def strip_of(pair: Pair, durations: Mapping[str, float], frames: Sequence[Frame] = ()) -> Strip:
    """The strip of one sample and its prediction."""
    sample, prediction = pair
    if sample.video not in durations:
        raise UserError(f"sample {sample.id}: no duration for {sample.video}; ingest the video first")
    lanes: dict[str, Sequence[Interval]] = {
        "question": sample.query_spans,
        "truth": sample.intervals,
        "evidence": prediction.evidence if prediction else (),
        "answer": prediction.answer_intervals if prediction else (),
    }
    # An empty lane says something only where the task wants intervals.
    shown = [
        name for name in _LANE_ORDER if lanes[name] or (name != "question" and sample.task in GROUNDED_TASKS)
    ]
    return Strip(
        task=sample.task,
        question=_with_times(sample.question, sample.query_spans),
        truth_text=_with_times(sample.answer, sample.intervals),
        answer_text=prediction.answer if prediction else "(no prediction)",
        is_right=pair.is_right_option if sample.options else None,
        duration_s=durations[sample.video],
        lanes={name: lanes[name] for name in shown},
        frames=frames,
    )


def _draw(pairs: Sequence[Pair], count: int, seed: int, tasks: Sequence[str]) -> list[Pair]:
    """Tasks in turn; within a task by seeded order, clips not shown yet first."""
    waiting: dict[str, list[Pair]] = {}
    for pair in sorted(pairs, key=lambda pair: derive_seed(seed, "strips", pair.sample.id)):
        waiting.setdefault(pair.sample.task, []).append(pair)
    chosen: list[Pair] = []
    while len(chosen) < count and any(waiting.values()):
        for task in (task for task in tasks if waiting.get(task)):
            seen = {pair.sample.video for pair in chosen}
            fresh = [pair for pair in waiting[task] if pair.sample.video not in seen]
            pick = (fresh or waiting[task])[0]
            waiting[task].remove(pick)
            chosen.append(pick)
    return chosen[:count]


def _with_times(text: str, spans: Sequence[Interval]) -> str:
    head, *rest = text.split(EVI)
    return head + "".join(
        f"{span.start_s:.1f} - {span.end_s:.1f} s{tail}" for span, tail in zip(spans, rest, strict=True)
    )
