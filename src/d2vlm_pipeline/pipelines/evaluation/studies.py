"""What the studies ask of the models, and their record."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from kedro.pipeline import Node, Pipeline

from d2vlm_pipeline.evaluation import EvaluationConfig
from d2vlm_pipeline.evaluation.predictor import ClipSource, Predictor
from d2vlm_pipeline.evaluation.studies import Studies, StudiesConfig
from d2vlm_pipeline.features import EncoderConfig, FeatureStore
from d2vlm_pipeline.model import ModelBundle, ModelConfig
from d2vlm_pipeline.model.config import StartConfig
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.evaluation.nodes import AnswerConfig, held_out
from d2vlm_pipeline.pipelines.features.nodes import stored_clips
from d2vlm_pipeline.timeline import ModelRef, Prediction, Question, Sample, SamplingPolicy
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.video import VideoRow

if TYPE_CHECKING:
    from d2vlm_pipeline.evaluation.studies.cost import TokenCounts

_SYSTEM = "fpo"

logger = logging.getLogger(__name__)


def answer_calibration(
    model: ModelBundle,
    samples: list[Sample],
    store: FeatureStore,
    rows: list[VideoRow],
    sampling: SamplingPolicy,
    encoder: EncoderConfig,
    answering: AnswerConfig,
    evaluation: EvaluationConfig,
    studies: StudiesConfig,
    compute: ComputeConfig,
) -> Iterator[Prediction]:
    """Stream the studied model's answers to the split that the calibrator is fitted on."""
    from d2vlm_pipeline.evaluation.studies.suite import check_split

    check_split(samples, studies, answering.splits)
    if "calibration" not in studies.run:
        return iter(())
    asked = _of_split(samples, studies.calibration.split, evaluation)
    clips = stored_clips(store, rows, sampling, encoder)
    answerer = _answerer(model, clips, answering, compute, f"{_SYSTEM}, {studies.calibration.split}")
    return answerer.answer_all(Question.of_sample(sample) for sample in asked)


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
) -> Iterator[Prediction]:
    """Stream what the model that SFT starts from answers to held-out multiple choice."""
    from d2vlm_pipeline.evaluation.studies.suite import choices
    from d2vlm_pipeline.model.start import start_model

    asked = choices(held_out(samples, answering, evaluation))
    if "forgetting" not in studies.run or not asked:
        return iter(())
    model = start_model(start, config, samples, sampling, encoder, training.seed)
    clips = stored_clips(store, rows, sampling, encoder)
    short = answering.model_copy(update={"max_new_tokens": studies.start_tokens})
    answerer = _answerer(model, clips, short, compute, "start")
    return answerer.answer_all(Question.of_sample(sample) for sample in asked)


def study_model(
    model: ModelBundle,
    samples: list[Sample],
    store: FeatureStore,
    rows: list[VideoRow],
    sampling: SamplingPolicy,
    encoder: EncoderConfig,
    answering: AnswerConfig,
    evaluation: EvaluationConfig,
    config: StudiesConfig,
    compute: ComputeConfig,
    on_calibration: list[Prediction],
    start: list[Prediction],
    sft: list[Prediction],
    fpo: list[Prediction],
) -> dict[str, Any]:
    """The studies of the FPO model: what it answered, and what it answers when its clips are changed."""
    from d2vlm_pipeline.evaluation.studies.estimates import Drawing
    from d2vlm_pipeline.evaluation.studies.suite import Material, choices, pairs_of, run_studies
    from d2vlm_pipeline.orchestration.memory import PeakMemory

    clips = stored_clips(store, rows, sampling, encoder)
    asked = held_out(samples, answering, evaluation)
    fitted = _of_split(samples, config.calibration.split, evaluation)

    def ask(source: ClipSource, questions: Sequence[Question]) -> list[Prediction]:
        return _answerer(model, source, answering, compute, _SYSTEM).answer_batch(questions)

    material = Material(
        held_out=pairs_of(asked, fpo),
        calibration=pairs_of(fitted, on_calibration),
        by_system={
            name: pairs_of(choices(asked), answers)
            for name, answers in (("start", start), ("sft", sft), ("fpo", fpo))
        },
        ask=ask,
        source=clips,
        tokens=_token_counts(model, clips),
        peak=PeakMemory(interval_s=0.05),
    )
    drawing = Drawing(evaluation.resamples, evaluation.confidence, evaluation.seed)
    record = Studies(
        schema=1,
        system=_SYSTEM,
        model=model.digest,
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
                tags="gpu",
            ),
            Node(
                answer_untrained,
                ["params:start", "params:model", *clips, "params:sft", *config],
                "start_answers",
                name="answer_untrained",
                tags="gpu",
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
                ],
                "studies",
                name="study_model",
                tags="gpu",
            ),
        ]
    )


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
        ref=ModelRef(name="d2vlm", digest=model.digest),
        batch_questions=answering.batch_questions,
        max_new_tokens=answering.max_new_tokens,
        choice=answering.choice,
    )


def _token_counts(model: ModelBundle, clips: ClipSource) -> TokenCounts:
    from d2vlm_pipeline.evaluation.studies.cost import TokenCounts
    from d2vlm_pipeline.model.tokens import encode, question_ids

    return TokenCounts(
        frames=lambda video: len(model.layout.prefix(clips.clip(video)[1].times_s).ids),
        question=lambda question: len(question_ids(question, model.tokenizer, model.tokens)),
        answer=lambda answer: len(encode(answer.raw, model.tokenizer)),
    )
