"""Who answers: baselines, the models of this project, and a model of your own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field, PositiveInt, model_validator

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.evaluation.answer_record import View
from d2vlm_pipeline.evaluation.predictor import Choice

GUESSERS = ("chance", "prior", "tiling", "whole_video")
"""Systems that see no video, fitted on the training split."""


@dataclass(frozen=True)
class Answerer:
    """A system that is a model.

    Attributes:
        model: dataset of the model; None where `answering.model` names a directory.
        view: what it is shown.
        made_by: pipeline that makes the model.
    """

    system: str
    model: str | None
    view: View
    made_by: str


ANSWERERS = (
    Answerer("sft", "sft_model", "real", "sft"),
    Answerer("fpo", "fpo_model", "real", "fpo"),
    Answerer("zero_video", "fpo_model", "zero", "fpo"),
    Answerer("swapped_video", "fpo_model", "swapped", "fpo"),
    Answerer("blind", "blind_model", "zero", "blind"),
    Answerer("model", None, "real", ""),
)

SYSTEMS = (*GUESSERS, *(answerer.system for answerer in ANSWERERS))

SHOWN_FIRST = ("fpo", "model", "sft", "blind")
"""Whose answers a report shows: the first of these that was asked."""


def _named(given: object) -> object:
    """`--params` splits at commas: there, names are a text with spaces between them."""
    return re.split(r"[\s,]+", given.strip()) if isinstance(given, str) else given


class AnswerConfig(StrictModel):
    """What is asked of whom, and how it is decoded.

    Attributes:
        systems: who answers, a list or a text of names; `blind` has to be trained first (`kedro run
            --pipelines blind`), `model` is the model directory of the next key.
        model: directory of a model, for the system `model`.
        splits: held-out splits.
        batch_questions: questions decoded together.
        max_new_tokens: longest answer.
        choice: an option is chosen as the likeliest of them, letter and words together, or greedily.
    """

    systems: Annotated[tuple[str, ...], BeforeValidator(_named), Field(min_length=1)] = tuple(
        system for system in SYSTEMS if system not in ("blind", "model")
    )
    model: str | None = Field(default=None, min_length=1)
    splits: tuple[str, ...] = ("test-iid",)
    batch_questions: PositiveInt = 96
    max_new_tokens: PositiveInt = 96
    choice: Choice = "likeliest"

    @model_validator(mode="after")
    def _check_systems(self) -> AnswerConfig:
        unknown = [name for name in self.systems if name not in SYSTEMS]
        if unknown:
            raise ValueError(f"systems: no system {unknown[0]!r}; use some of {' '.join(SYSTEMS)}")
        if "model" in self.systems and self.model is None:
            raise ValueError("systems: `model` needs answering.model, a model directory")
        return self
