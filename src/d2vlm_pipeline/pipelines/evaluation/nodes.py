"""Models and baselines answer the held-out questions; one scorer judges them all."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import PositiveInt

from d2vlm_pipeline.annotations import durations_of
from d2vlm_pipeline.artifacts import StrictModel, UserError, derive_seed, digest_json
from d2vlm_pipeline.evaluation import (
    BASELINES,
    EvaluationConfig,
    assemble_metrics,
    score_system,
)
from d2vlm_pipeline.evaluation.predictor import Choice, Predictor, SwappedVideo, ZeroVideo
from d2vlm_pipeline.features import EncoderConfig, FeatureStore, StoredClips
from d2vlm_pipeline.model import ModelBundle
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.features.nodes import stored_clips
from d2vlm_pipeline.preferences import (
    AuditConfig,
    ErrorHistogram,
    distance_record,
    said_by_model,
    said_by_pair,
)
from d2vlm_pipeline.timeline import (
    ModelRef,
    Prediction,
    PreferencePair,
    Question,
    Sample,
    SamplingPolicy,
)
from d2vlm_pipeline.video import VideoRow

View = Literal["real", "zero", "swapped"]


class AnswerConfig(StrictModel):
    """What is asked, and how it is decoded.

    Attributes:
        splits: held-out splits.
        batch_questions: questions decoded together.
        max_new_tokens: longest answer.
        choice: an option is chosen as the likeliest of them, letter and words together, or greedily.
    """

    splits: tuple[str, ...] = ("test-iid",)
    batch_questions: PositiveInt = 96
    max_new_tokens: PositiveInt = 96
    choice: Choice = "likeliest"


def held_out(
    samples: Sequence[Sample], answering: AnswerConfig, evaluation: EvaluationConfig
) -> list[Sample]:
    """The samples that are scored, neighbours by clip.

    Raises:
        UserError: there are none.
    """
    kept = [s for s in samples if s.split in answering.splits and s.task in evaluation.tasks]
    if not kept:
        raise UserError(
            f"no sample in {', '.join(answering.splits)}: set answering.splits to a split of the data"
        )
    return sorted(kept, key=lambda sample: (sample.video, sample.id))


def guess_answers(
    samples: list[Sample], rows: list[VideoRow], answering: AnswerConfig, evaluation: EvaluationConfig
) -> tuple[list[Prediction], ...]:
    """Predictions of the systems that see no video, fitted on the training split; order of `GUESSERS`."""
    train = [sample for sample in samples if sample.split == "train" and sample.task in evaluation.tasks]
    asked, durations = held_out(samples, answering, evaluation), durations_of(rows)
    return tuple(BASELINES[name](train, durations, evaluation).predict(asked, durations) for name in GUESSERS)


GUESSERS = ("chance", "prior", "tiling", "whole_video")


def answer_questions(
    model: ModelBundle,
    samples: list[Sample],
    store: FeatureStore,
    rows: list[VideoRow],
    sampling: SamplingPolicy,
    encoder: EncoderConfig,
    answering: AnswerConfig,
    evaluation: EvaluationConfig,
    compute: ComputeConfig,
    *,
    system: str,
    view: View,
) -> Iterator[Prediction]:
    """Stream a model's answers to the held-out questions, seeing the real clips, nothing, or other clips."""
    import torch

    torch.set_num_threads(compute.threads)
    asked = held_out(samples, answering, evaluation)
    predictor = Predictor(
        bundle=model,
        source=_seen(stored_clips(store, rows, sampling, encoder), view, asked, evaluation.seed),
        system=system,
        ref=ModelRef(name="d2vlm", digest=model.digest),
        batch_questions=answering.batch_questions,
        max_new_tokens=answering.max_new_tokens,
        choice=answering.choice,
    )
    return predictor.answer_all(Question.of_sample(sample) for sample in asked)


def _seen(
    clips: StoredClips, view: View, asked: Sequence[Sample], seed: int
) -> StoredClips | ZeroVideo | SwappedVideo:
    if view == "zero":
        return ZeroVideo(clips)
    if view == "swapped":
        return SwappedVideo(clips, _other_clips(sorted({sample.video for sample in asked}), seed))
    return clips


def _other_clips(videos: list[str], seed: int) -> dict[str, str]:
    """For every clip another one: a seeded cycle through all of them."""
    cycle = random.Random(derive_seed(seed, "swapped clips")).sample(videos, len(videos))
    return dict(zip(cycle, cycle[1:] + cycle[:1], strict=True))


def score_answers(
    samples: list[Sample],
    rows: list[VideoRow],
    store: FeatureStore,
    answering: AnswerConfig,
    evaluation: EvaluationConfig,
    *predictions: list[Prediction],
) -> dict[str, Any]:
    """The metrics record: every system on every held-out task, with what was scored by digest."""
    asked = held_out(samples, answering, evaluation)
    scores = {}
    for answered in predictions:
        if not answered:
            continue  # a baseline that can answer none of the tasks; a model answers whatever it is asked
        system = answered[0].system
        # A baseline is asked what it can answer; a model is asked everything, and silence counts as wrong.
        tasks = sorted({str(guess.task) for guess in answered}) if system in GUESSERS else None
        scores[system] = score_system(asked, answered, evaluation, tasks=tasks)
    data = {
        "samples": digest_json([sample.model_dump(mode="json") for sample in samples]),
        "videos": digest_json(sorted(str(row.digest) for row in rows)),
        "features": store.index.digest,
    }
    record: dict[str, Any] = json.loads(assemble_metrics(scores, data))
    return record


def compare_mistakes(
    samples: list[Sample],
    pairs: list[PreferencePair],
    predictions: list[Prediction],
    audit: AuditConfig,
) -> tuple[dict[str, Any], bytes]:
    """How far the operators' mistakes are from the SFT model's own, on the tasks that both know."""
    from d2vlm_pipeline.preferences.audit_plots import render_distance

    by_id = {sample.id: sample for sample in samples}
    operators, model = ErrorHistogram(), ErrorHistogram()
    for pair in pairs:
        operators.add(by_id[pair.sample_id], said_by_pair(pair))
    for prediction in predictions:
        said = said_by_model(prediction) if prediction.parsed else None
        model.add(by_id[str(prediction.sample_id)], said)
    record = distance_record(operators, model, audit.least_mistakes)
    return record, render_distance(record)
