"""Models and baselines answer the held-out questions; one scorer judges them all."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from d2vlm_pipeline.annotations import durations_of
from d2vlm_pipeline.artifacts import UserError, derive_seed, digest_json
from d2vlm_pipeline.evaluation import (
    BASELINES,
    EvaluationConfig,
    assemble_metrics,
    score_systems,
)
from d2vlm_pipeline.evaluation.answer_record import AnswerRecord, View
from d2vlm_pipeline.evaluation.answering import Answer, AnswerStream, answer_here
from d2vlm_pipeline.evaluation.headline import Headline, headline
from d2vlm_pipeline.evaluation.predictor import KnownClips, Predictor, SwappedVideo, ZeroVideo
from d2vlm_pipeline.features import EncoderConfig, FeatureStore, StoredClips
from d2vlm_pipeline.model import ModelBundle
from d2vlm_pipeline.model.opening import check_features, content_digest, open_model
from d2vlm_pipeline.orchestration.datasets.base import LeaveAsIs, run_command
from d2vlm_pipeline.orchestration.ray_pool import spreading
from d2vlm_pipeline.orchestration.ray_settings import RaySettings
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.evaluation.systems import GUESSERS, AnswerConfig, Answerer
from d2vlm_pipeline.pipelines.features.nodes import stored_clips
from d2vlm_pipeline.pipelines.preferences.nodes import judge_audit
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

logger = logging.getLogger(__name__)


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
) -> tuple[list[Prediction] | LeaveAsIs, ...]:
    """Predictions of the systems that see no video, fitted on the training split; order of `GUESSERS`."""
    train = [sample for sample in samples if sample.split == "train" and sample.task in evaluation.tasks]
    asked, durations = held_out(samples, answering, evaluation), durations_of(rows)
    wanted = [name for name in GUESSERS if name in answering.systems]
    if wanted and not train:
        logger.warning("no training sample: %s have nothing to go by and answer nothing", ", ".join(wanted))
    return tuple(
        BASELINES[name](train, durations, evaluation).predict(asked, durations)
        if name in wanted
        else LeaveAsIs()
        for name in GUESSERS
    )


def answer_questions(
    model: ModelBundle | None,
    samples: list[Sample],
    store: FeatureStore,
    rows: list[VideoRow],
    sampling: SamplingPolicy,
    encoder: EncoderConfig,
    answering: AnswerConfig,
    evaluation: EvaluationConfig,
    compute: ComputeConfig,
    ray: RaySettings,
    *,
    answerer: Answerer,
) -> tuple[AnswerStream | LeaveAsIs, dict[str, Any] | LeaveAsIs]:
    """Answers to the held-out questions, streamed as they are saved, and the record of how they are made.

    Raises:
        UserError: the system is asked, and its model is not there or needs other features.
    """
    if answerer.system not in answering.systems:
        return LeaveAsIs(), LeaveAsIs()
    if model is None:
        raise UserError(
            f"answering.systems: {answerer.system} has no model; {run_command(answerer.made_by)} makes it, "
            "or leave the system out"
        )
    check_features(model, sampling, encoder)
    asked = held_out(samples, answering, evaluation)
    clips = _seen(stored_clips(store, rows, sampling, encoder), answerer.view, asked, evaluation.seed)
    predictor = Predictor(
        bundle=model,
        source=clips,
        system=answerer.system,
        ref=ModelRef(name="d2vlm", digest=content_digest(model)),
        batch_questions=answering.batch_questions,
        max_new_tokens=answering.max_new_tokens,
        choice=answering.choice,
    )
    record = AnswerRecord.of(predictor, answerer.view, compute.threads)
    questions = [Question.of_sample(sample) for sample in asked]
    answer = _answering(predictor, compute, ray)
    return AnswerStream.of(record, questions, clips.identity, answer), record.as_json()


def _answering(predictor: Predictor, compute: ComputeConfig, ray: RaySettings) -> Answer:
    """Who answers; the predictions are the same."""
    if not ray.enabled:
        return answer_here(predictor, compute.threads)
    from d2vlm_pipeline.orchestration.ray_answers import answer_on_ray

    return answer_on_ray(predictor, compute.threads, ray)


def answer_with_given_model(
    samples: list[Sample],
    store: FeatureStore,
    rows: list[VideoRow],
    sampling: SamplingPolicy,
    encoder: EncoderConfig,
    answering: AnswerConfig,
    evaluation: EvaluationConfig,
    compute: ComputeConfig,
    ray: RaySettings,
    *,
    answerer: Answerer,
) -> tuple[AnswerStream | LeaveAsIs, dict[str, Any] | LeaveAsIs]:
    """The same, of the model whose directory `answering.model` names."""
    model = None
    if answerer.system in answering.systems and answering.model is not None:
        model = open_model(Path(answering.model))
    return answer_questions(
        model, samples, store, rows, sampling, encoder, answering, evaluation, compute, ray, answerer=answerer
    )


def _seen(clips: StoredClips, view: View, asked: Sequence[Sample], seed: int) -> KnownClips:
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
    compute: ComputeConfig,
    ray: RaySettings,
    *predictions: list[Prediction] | None,
) -> dict[str, Any]:
    """The metrics record: every system on every held-out task, with what was scored by digest."""
    asked = held_out(samples, answering, evaluation)
    answered = dict(asked_for(answering, predictions))
    # A baseline is asked what it can answer; a model is asked everything, and silence counts as wrong.
    guessed = {name: said for name, said in answered.items() if name in GUESSERS}
    tasks = {name: sorted({str(guess.task) for guess in said}) for name, said in guessed.items()}
    with spreading(ray, "scoring", compute.workers, records=len(asked) * len(answered)) as spread:
        scores = score_systems(asked, answered, evaluation, spread, tasks)
    data = {
        "samples": digest_json([sample.model_dump(mode="json") for sample in samples]),
        "videos": digest_json(sorted(str(row.digest) for row in rows)),
        "features": store.index.digest,
    }
    record: dict[str, Any] = json.loads(assemble_metrics(scores, data))
    return record


def summarise_scores(metrics: dict[str, Any]) -> Headline:
    """The figures that people compare between runs."""
    return headline(metrics["scores"])


def asked_for(
    answering: AnswerConfig, predictions: Iterable[list[Prediction] | None]
) -> Iterator[tuple[str, list[Prediction]]]:
    """Systems of this run with their answers; other predictions may lie there from another one.

    A baseline that can answer none of the tasks has none; a model answers whatever it is asked.
    """
    for answered in predictions:
        if answered and answered[0].system in answering.systems:
            yield answered[0].system, answered


def compare_mistakes(
    samples: list[Sample],
    pairs: list[PreferencePair] | None,
    predictions: list[Prediction] | None,
    audit: AuditConfig,
    answering: AnswerConfig,
) -> tuple[dict[str, Any] | LeaveAsIs, bytes | LeaveAsIs]:
    """How far the operators' mistakes are from the SFT model's own, on the tasks that both know.

    Only where there are pairs and the SFT model is asked.
    """
    if pairs is None or predictions is None or "sft" not in answering.systems:
        return LeaveAsIs(), LeaveAsIs()
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


def judge_distance(
    record: dict[str, Any] | None, audit: AuditConfig, answering: AnswerConfig
) -> None:
    """As `judge_audit`, where mistakes were compared."""
    if record is not None and "sft" in answering.systems:
        judge_audit(record, audit)
