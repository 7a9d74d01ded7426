"""What the studies ask of the models, and their record."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.pipeline import Node, Pipeline

from d2vlm_pipeline.evaluation import EvaluationConfig
from d2vlm_pipeline.evaluation.answer_record import AnswerRecord
from d2vlm_pipeline.evaluation.answering import AnswerStream, answer_here
from d2vlm_pipeline.evaluation.predictor import ClipSource, Predictor
from d2vlm_pipeline.evaluation.studies import Studies, StudiesConfig
from d2vlm_pipeline.features import EncoderConfig, FeatureStore, StoredClips
from d2vlm_pipeline.model import ModelBundle, ModelConfig
from d2vlm_pipeline.model.config import StartConfig
from d2vlm_pipeline.model.opening import content_digest, open_model
from d2vlm_pipeline.orchestration import WITHOUT_OPTIONAL, LeaveAsIs
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.evaluation.nodes import held_out
from d2vlm_pipeline.pipelines.evaluation.systems import AnswerConfig
from d2vlm_pipeline.pipelines.features.nodes import stored_clips
from d2vlm_pipeline.timeline import ModelRef, Prediction, Question, Sample, SamplingPolicy
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.video import VideoRow

if TYPE_CHECKING:
    from d2vlm_pipeline.evaluation.studies.cost import TokenCounts

logger = logging.getLogger(__name__)


def answer_calibration(
    fpo_model: ModelBundle | None,
    samples: list[Sample],
    store: FeatureStore,
    rows: list[VideoRow],
    sampling: SamplingPolicy,
    encoder: EncoderConfig,
    answering: AnswerConfig,
    evaluation: EvaluationConfig,
    studies: StudiesConfig,
    compute: ComputeConfig,
) -> AnswerStream | list[Prediction] | LeaveAsIs:
    """Stream the studied model's answers to the split that the calibrator is fitted on."""
    from d2vlm_pipeline.evaluation.studies.suite import check_split

    system, model = _studied(answering, fpo_model)
    if model is None:
        return LeaveAsIs()
    check_split(samples, studies, answering.splits)
    if "calibration" not in studies.run:
        return []
    asked = _of_split(samples, studies.calibration.split, evaluation)
    clips = stored_clips(store, rows, sampling, encoder)
    answerer = _answerer(model, clips, answering, compute, f"{system}, {studies.calibration.split}")
    return _stream(answerer, asked, clips, compute)


def answer_untrained(
    start: StartConfig,
    config: ModelConfig,
    samples: list[Sample],
    store: FeatureStore,
    rows: list[VideoRow],
    sampling: SamplingPolicy,
    encoder: EncoderConfig,
    training: TrainConfig,
    answering: AnswerConfig,
    evaluation: EvaluationConfig,
    studies: StudiesConfig,
    compute: ComputeConfig,
) -> AnswerStream | list[Prediction] | LeaveAsIs:
    """Stream what the model that SFT starts from answers to held-out multiple choice."""
    from d2vlm_pipeline.evaluation.studies.suite import choices
    from d2vlm_pipeline.model.start import start_model

    if "fpo" not in answering.systems:
        return LeaveAsIs()
    asked = choices(held_out(samples, answering, evaluation))
    if "forgetting" not in studies.run or not asked:
        return []
    model = start_model(start, config, samples, sampling, encoder, training.seed)
    clips = stored_clips(store, rows, sampling, encoder)
    short = answering.model_copy(update={"max_new_tokens": studies.start_tokens})
    answerer = _answerer(model, clips, short, compute, "start")
    return _stream(answerer, asked, clips, compute)


def study_model(
    fpo_model: ModelBundle | None,
    samples: list[Sample],
    store: FeatureStore,
    rows: list[VideoRow],
    sampling: SamplingPolicy,
    encoder: EncoderConfig,
    answering: AnswerConfig,
    evaluation: EvaluationConfig,
    config: StudiesConfig,
    compute: ComputeConfig,
    on_calibration: list[Prediction] | None,
    start: list[Prediction] | None,
    sft: list[Prediction] | None,
    fpo: list[Prediction] | None,
    own: list[Prediction] | None,
) -> dict[str, Any] | LeaveAsIs:
    """The studies of the FPO model, or else of one's own: its answers, and those about changed clips.

    Where neither is asked there is nothing to study.
    """
    system, model = _studied(answering, fpo_model)
    answers = fpo if system == "fpo" else own
    if model is None or answers is None:
        return LeaveAsIs()
    from d2vlm_pipeline.evaluation.studies.estimates import Drawing
    from d2vlm_pipeline.evaluation.studies.suite import Material, choices, pairs_of, run_studies
    from d2vlm_pipeline.orchestration.memory import PeakMemory

    clips = stored_clips(store, rows, sampling, encoder)
    asked = held_out(samples, answering, evaluation)
    fitted = _of_split(samples, config.calibration.split, evaluation)
    before = {"start": start, "sft": sft if "sft" in answering.systems else None} if system == "fpo" else {}

    def ask(source: ClipSource, questions: Sequence[Question]) -> list[Prediction]:
        return _answerer(model, source, answering, compute, system).answer_batch(questions)

    material = Material(
        held_out=pairs_of(asked, answers),
        calibration=pairs_of(fitted, on_calibration or []),
        by_system={
            name: pairs_of(choices(asked), said)
            for name, said in {**before, system: answers}.items()
            if said is not None
        },
        ask=ask,
        source=clips,
        tokens=_token_counts(model, clips),
        peak=PeakMemory(interval_s=0.05),
    )
    drawing = Drawing(evaluation.resamples, evaluation.confidence, evaluation.seed)
    record = Studies(
        schema=1,
        system=system,
        model=content_digest(model),
        splits=answering.splits,
        confidence=evaluation.confidence,
        resamples=evaluation.resamples,
        studies=run_studies(material, config, drawing),
    )
    for line in record.shortfalls:
        logger.warning(line)
    return record.model_dump(mode="json", by_alias=True)


def studies_pipeline() -> Pipeline:
    """Answers that only studies need, and the studies."""
    clips = ["samples", "feature_store", "video_table", "params:sampling", "params:encoder"]
    config = ["params:answering", "params:evaluation", "params:studies", "params:compute"]
    return Pipeline(
        [
            Node(
                answer_calibration,
                ["fpo_model", *clips, *config],
                "calibration_answers",
                name="answer_calibration",
                tags=["gpu", WITHOUT_OPTIONAL],
            ),
            Node(
                answer_untrained,
                ["params:start", "params:model", *clips, "params:sft", *config],
                "start_answers",
                name="answer_untrained",
                tags=["gpu", WITHOUT_OPTIONAL],
            ),
            Node(
                study_model,
                [
                    "fpo_model",
                    *clips,
                    *config,
                    "calibration_answers",
                    "start_answers",
                    "sft_predictions",
                    "fpo_predictions",
                    "model_predictions",
                ],
                "studies",
                name="study_model",
                tags=["gpu", WITHOUT_OPTIONAL],
            ),
        ]
    )


def _studied(answering: AnswerConfig, fpo_model: ModelBundle | None) -> tuple[str, ModelBundle | None]:
    """The system that is studied, and its model: the FPO model, or else `answering.model`; None: neither."""
    if "fpo" in answering.systems or answering.model is None or "model" not in answering.systems:
        return "fpo", fpo_model if "fpo" in answering.systems else None
    return "model", open_model(Path(answering.model))


def _of_split(samples: Sequence[Sample], split: str, evaluation: EvaluationConfig) -> list[Sample]:
    """Samples of one split and the scored tasks, neighbours by clip."""
    kept = [sample for sample in samples if sample.split == split and sample.task in evaluation.tasks]
    return sorted(kept, key=lambda sample: (sample.video, sample.id))


def _answerer(
    model: ModelBundle, source: ClipSource, answering: AnswerConfig, compute: ComputeConfig, system: str
) -> Predictor:
    import torch

    torch.set_num_threads(compute.threads)
    return Predictor(
        bundle=model,
        source=source,
        system=system,
        ref=ModelRef(name="d2vlm", digest=content_digest(model)),
        batch_questions=answering.batch_questions,
        max_new_tokens=answering.max_new_tokens,
        choice=answering.choice,
    )


def _stream(
    predictor: Predictor, asked: Sequence[Sample], clips: StoredClips, compute: ComputeConfig
) -> AnswerStream:
    record = AnswerRecord.of(predictor, "real", compute.threads)
    questions = [Question.of_sample(sample) for sample in asked]
    return AnswerStream.of(record, questions, clips.identity, answer_here(predictor, compute.threads))


def _token_counts(model: ModelBundle, clips: ClipSource) -> TokenCounts:
    from d2vlm_pipeline.evaluation.studies.cost import TokenCounts
    from d2vlm_pipeline.model.tokens import encode, question_ids

    return TokenCounts(
        frames=lambda video: len(model.layout.prefix(clips.clip(video)[1].times_s).ids),
        question=lambda question: len(question_ids(question, model.tokenizer, model.tokens)),
        answer=lambda answer: len(encode(answer.raw, model.tokenizer)),
    )
