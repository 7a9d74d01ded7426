"""Asking a model about changed clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from d2vlm_pipeline.evaluation.predictor import ClipSource
from d2vlm_pipeline.evaluation.studies.changes import Change, ChangedClips
from d2vlm_pipeline.timeline import Prediction, Question, Sample


class Ask(Protocol):
    """A model that answers questions about the clips of a source, one prediction a question, in order."""

    def __call__(self, source: ClipSource, questions: Sequence[Question]) -> list[Prediction]:
        """Answers."""
        ...


def ask_changed(
    ask: Ask, source: ClipSource, variants: Sequence[tuple[Sample, Change]]
) -> list[Prediction]:
    """What is answered to each sample's question about its clip under its change.

    Questions about one clip under equal changes are about one clip to the model, which reads it once.
    """
    names: dict[tuple[str, Change], str] = {}
    for sample, change in variants:
        names.setdefault((sample.video, change), f"{sample.video}#{len(names)}")
    clips = ChangedClips(source, {name: clip for clip, name in names.items()})
    questions = [
        Question.of_sample(sample).model_copy(update={"video": names[sample.video, change]})
        for sample, change in variants
    ]
    answers = ask(clips, questions)
    return [
        answer.model_copy(update={"video": sample.video})
        for answer, (sample, _) in zip(answers, variants, strict=True)
    ]
