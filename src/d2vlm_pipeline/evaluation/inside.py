"""One answer from inside: what every frame said to every `<evi>`, and what the answer rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.evaluation.predictor import Predictor, Said
from d2vlm_pipeline.evaluation.studies.changes import ChangedClips, FrameRun, Masked
from d2vlm_pipeline.evaluation.studies.faithfulness import evidence_runs, other_runs
from d2vlm_pipeline.evaluation.studies.judging import says_the_same
from d2vlm_pipeline.timeline import PredictedInterval, Prediction, Question, TimeBase

Half = Literal["evidence", "answer"]

EVERYTHING = "all evidence"
ELSEWHERE = "as many other frames"


@dataclass(frozen=True)
class EvidenceCurve:
    """What one `<evi>` was selected from.

    Attributes:
        half: before or behind `</evi>`.
        interval: the interval that was selected.
        belongs_T: probability of each frame to belong to it.
    """

    half: Half
    interval: PredictedInterval
    belongs_T: np.ndarray


@dataclass(frozen=True)
class Counterfactual:
    """The answer to the same question about the clip with some frames masked.

    Attributes:
        masked: what was masked, in words.
        runs: first and last frame, inclusive, of what was masked.
        prediction: the answer.
        says_the_same: whether it says what the true clip's answer says; times never count.
    """

    masked: str
    runs: tuple[FrameRun, ...]
    prediction: Prediction
    says_the_same: bool


@dataclass(frozen=True)
class Inside:
    """One answer, its curves in the order of its `<evi>`, and its counterfactuals."""

    prediction: Prediction
    timebase: TimeBase
    curves: tuple[EvidenceCurve, ...]
    counterfactuals: tuple[Counterfactual, ...]


def look_inside(predictor: Predictor, question: Question, seed: int = 0) -> Inside:
    """Answer a question, and again with its evidence masked: all of it, each run of it, and other frames.

    An answer without evidence has no counterfactuals; where so much is evidence that as much does not fit
    beside it, the one with other frames is left out.

    Args:
        predictor: who answers.
        question: about a clip of the predictor's source.
        seed: of the places of the other frames.

    Raises:
        UserError: the video cannot be decoded.
    """
    said = predictor.say([question])[0]
    prediction = predictor.prediction(said)
    masks = _masks(evidence_runs(prediction, said.timebase), len(said.timebase), seed)
    answers = _under(predictor, question, masks)
    return Inside(
        prediction=prediction,
        timebase=said.timebase,
        curves=_curves(said, predictor.bundle.tokens.evi_end),
        counterfactuals=tuple(
            Counterfactual(name, runs, answer, says_the_same(question, prediction, answer))
            for (name, runs), answer in zip(masks.items(), answers, strict=True)
        ),
    )


def _curves(said: Said, evi_end: int) -> tuple[EvidenceCurve, ...]:
    ids = said.generated.token_ids
    head = ids[: ids.index(evi_end)] if evi_end in ids else ids
    # Of the tokens before `</evi>` each is an `<evi>`, where answers are kept to their form.
    first = min(len(head), len(said.generated.spans))
    halves: list[Half] = ["evidence" if at < first else "answer" for at in range(len(said.generated.spans))]
    found = zip(halves, said.intervals, said.generated.spans, strict=True)
    return tuple(
        EvidenceCurve(half, interval, 1.0 / (1.0 + np.exp(-span.log_odds_T.astype(np.float64))))
        for half, interval, span in found
    )


def _masks(runs: tuple[FrameRun, ...], frames: int, seed: int) -> dict[str, tuple[FrameRun, ...]]:
    """Runs of frames by what they are."""
    if not runs:
        return {}
    masks = {EVERYTHING: runs}
    if len(runs) > 1:
        masks |= {f"evidence {at} of {len(runs)}": (run,) for at, run in enumerate(runs, start=1)}
    others = other_runs(runs, frames, derive_seed(seed, "masked elsewhere"))
    return masks if others is None else masks | {ELSEWHERE: others}


def _under(
    predictor: Predictor, question: Question, masks: Mapping[str, tuple[FrameRun, ...]]
) -> Sequence[Prediction]:
    changes = {f"{question.video}#{name}": (question.video, Masked(runs)) for name, runs in masks.items()}
    changed = replace(predictor, source=ChangedClips(predictor.source, changes))
    answers = changed.answer_batch([question.model_copy(update={"video": name}) for name in changes])
    return [answer.model_copy(update={"video": question.video}) for answer in answers]
