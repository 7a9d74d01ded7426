"""Does an interval follow when the clip is shifted, padded, sped up or reversed?

The model is compared with itself: where its interval should be after the change, and where it then is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from d2vlm_pipeline.evaluation.predictor import ClipSource
from d2vlm_pipeline.evaluation.studies.asking import Ask, ask_changed
from d2vlm_pipeline.evaluation.studies.changes import CutHead, PadHead, Reversed, SpeedUp, TimeChange
from d2vlm_pipeline.evaluation.studies.config import TimeConfig
from d2vlm_pipeline.evaluation.studies.estimates import Drawing, mean_figure
from d2vlm_pipeline.evaluation.studies.records import Figure, Study
from d2vlm_pipeline.timeline import Interval, Prediction, Sample


class Followed(NamedTuple):
    """Where an interval should be after a change, and where the model now sees it, if at all."""

    sample: Sample
    due: Interval
    seen: Interval | None

    @property
    def iou(self) -> float:
        """0 where nothing is seen any more."""
        return self.due.iou(self.seen) if self.seen is not None else 0.0

    def is_near(self, by_s: float) -> bool:
        """Whether both ends are at most so far from where they should be."""
        seen, slack_s = self.seen, by_s + 1e-9
        return seen is not None and (
            abs(seen.start_s - self.due.start_s) <= slack_s and abs(seen.end_s - self.due.end_s) <= slack_s
        )


def study_time(
    ask: Ask,
    source: ClipSource,
    answered: Sequence[tuple[Sample, Prediction]],
    config: TimeConfig,
    drawing: Drawing,
) -> Study:
    """How well the answers' intervals follow each change."""
    single = [(sample, answer) for sample, answer in answered if is_single(sample, answer)]
    changes: dict[str, TimeChange] = {
        "shift": CutHead(config.shift_s),
        "pad": PadHead(config.pad_s),
        "speed": SpeedUp(config.speed),
        "reverse": Reversed(),
    }
    followed = {name: follow(ask, source, single, change) for name, change in changes.items()}
    backwards = followed.pop("reverse")
    directed = [row for row in backwards if has_direction(row.sample, config.directed)]
    followed["reverse"] = [row for row in backwards if not has_direction(row.sample, config.directed)]
    figures = {"iou": _iou_figure("all changes", list(chain.from_iterable(followed.values())), drawing)}
    for name, rows in followed.items():
        figures |= _figures(name, rows, config, drawing)
    figures["reverse_directed_iou"] = _iou_figure("reverse, questions with a direction", directed, drawing)
    return Study(
        title="Consistency in time",
        definition=(
            f"Answers of {', '.join(config.tasks)} with one interval. The clip loses its first "
            f"{config.shift_s:g} s (where the interval is later), gets {config.pad_s:g} s of its first frame "
            f"put before it, runs {config.speed} times as fast, or backwards. IoU of the answer's interval "
            "on the changed clip and where the interval on the original should then be, 0 where it is gone; "
            "and the share of intervals with both ends near. Backwards, questions whose words have a "
            "direction in time ask for something else and stand apart: the less they follow, the better."
        ),
        headline="iou",
        clips=len({sample.video for sample, _ in answered}),
        figures=figures,
        notes=(f"{len(single)} of {len(answered)} answers have one interval and a question without times.",),
    )


def is_single(sample: Sample, answer: Prediction) -> bool:
    """Whether an answer has one interval, and the question no times that would have to move as well."""
    return answer.parsed and len(answer.answer_intervals) == 1 and not sample.query_intervals


def has_direction(sample: Sample, words: Sequence[str]) -> bool:
    """Whether the question, options included, contains such a word or begins one with it."""
    asked = " ".join([sample.question, *(sample.options or ())]).lower().split()
    return any(word.startswith(tuple(words)) for word in asked)


def follow(
    ask: Ask, source: ClipSource, answered: Sequence[tuple[Sample, Prediction]], change: TimeChange
) -> list[Followed]:
    """Every interval that is still whole after the change, and what became of it."""
    due = []
    for sample, answer in answered:
        moved = change.moved(answer.answer_intervals[0].interval, source.clip(sample.video)[1])
        if moved is not None:
            due.append((sample, moved))
    answers = ask_changed(ask, source, [(sample, change) for sample, _ in due])
    return [
        Followed(sample, interval, _first(answer))
        for (sample, interval), answer in zip(due, answers, strict=True)
    ]


def _first(answer: Prediction) -> Interval | None:
    said = answer.answer_intervals if answer.parsed else ()
    return said[0].interval if said else None


def _figures(
    name: str, rows: Sequence[Followed], config: TimeConfig, drawing: Drawing
) -> dict[str, Figure]:
    clips = [row.sample.video for row in rows]
    figures = {f"{name}_iou": _iou_figure(name, rows, drawing)}
    for near_s in config.near_s:
        figures[f"{name}_within_{near_s:g}s"] = mean_figure(
            f"{name}: both ends within {near_s:g} s", clips, [row.is_near(near_s) for row in rows], drawing
        )
    return figures


def _iou_figure(words: str, rows: Sequence[Followed], drawing: Drawing) -> Figure:
    return mean_figure(
        f"{words}: IoU with where it should be",
        [row.sample.video for row in rows],
        [row.iou for row in rows],
        drawing,
    )
