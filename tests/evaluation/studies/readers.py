"""Clips that a few lines can read, and models that do: one off its evidence, others that only say so."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from d2vlm_pipeline.evaluation.predictor import ClipSource
from d2vlm_pipeline.evaluation.studies.asking import Ask
from d2vlm_pipeline.timeline import Prediction, Question, Sample, TimeBase
from evaluation.scoring_records import predict, sample

FRAMES = 24
BACKGROUND, FIRST_OPTION = 1.0, 10.0
EVENT_S = (5.0, 7.0)


@dataclass(frozen=True)
class Shelf:
    """Clips of twelve seconds: background, and from 5 to 7 s frames whose value names an option.

    The last frame's value names an option as well: what a model reads that looks elsewhere.
    """

    clips: int = 8

    @property
    def names(self) -> list[str]:
        return [f"clip-{k}.mp4" for k in range(self.clips)]

    def clip(self, video: str) -> tuple[np.ndarray, TimeBase]:
        number = self.names.index(video)
        values_T = np.full(FRAMES, BACKGROUND)
        values_T[10:14] = FIRST_OPTION + right_option(number)
        times_s = tuple(k / 2 for k in range(FRAMES))
        timebase = TimeBase(times_s=times_s, duration_s=FRAMES / 2, fps_src=10.0, policy_digest="p")
        return np.repeat(values_T, 4).reshape(FRAMES, 2, 2).astype(np.float16), timebase


def right_option(number: int) -> int:
    """Never the first: that is what a model says that sees nothing."""
    return 1 + number % 3


def questions(shelf: Shelf) -> list[Sample]:
    """A grounded choice and a moment of every clip, and a moment that does not occur."""
    asked = []
    for number, video in enumerate(shelf.names):
        asked.append(sample("gvq", [EVENT_S], f"{video}/gvq", video, right=right_option(number)))
        asked.append(sample("mcq", [], f"{video}/mcq", video, right=right_option(number)))
        asked.append(sample("tvg", [EVENT_S], f"{video}/tvg", video))
        asked.append(sample("tvg", [], f"{video}/absent", video, question="When does nothing happen?"))
    return asked


Read = Callable[[np.ndarray, np.ndarray], int]
"""(value of each frame, frames of the event) to the option."""


def off_evidence(values_T: np.ndarray, event: np.ndarray) -> int:
    """The option that the event's frames show."""
    return min(3, int(values_T[event].max() - FIRST_OPTION)) if len(event) else 0


def off_nothing(values_T: np.ndarray, event: np.ndarray) -> int:
    """Whatever the evidence shows."""
    return 2


def off_the_rest(values_T: np.ndarray, event: np.ndarray) -> int:
    """By how much background is left."""
    return int(np.count_nonzero(values_T == BACKGROUND) != FRAMES - 4)


def reader(samples: Sequence[Sample], read: Read, sees_event: bool = True) -> Ask:
    """A model that names the event's frames as evidence and says what `read` reads.

    Without `sees_event` it names the same seconds whatever the clip shows.
    """
    by_id = {one.id: one for one in samples}

    def ask(source: ClipSource, asked: Sequence[Question]) -> list[Prediction]:
        return [_answer(by_id[str(q.sample_id)], *source.clip(q.video), read, sees_event) for q in asked]

    return ask


def _answer(
    of: Sample, features_TNC: np.ndarray, timebase: TimeBase, read: Read, sees_event: bool
) -> Prediction:
    values_T = features_TNC[:, 0, 0].astype(float)
    event = np.flatnonzero(values_T >= FIRST_OPTION)
    k = read(values_T, event)
    option = f"({'ABCD'[k]}) {of.options[k]}. " if of.options else ""
    if of.is_absent or (sees_event and not len(event)):
        return predict(of, f"</evi>{option or 'No such event happens in the video.'}")
    seen = timebase.interval_of(int(event[0]), int(event[-1])) if sees_event else None
    span = (seen.start_s, seen.end_s) if seen else EVENT_S
    return predict(of, f"<evi></evi>{option}The event happens in <evi>.", [span, span])
