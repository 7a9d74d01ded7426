"""All studies of one model, on the same held-out clips."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from d2vlm_pipeline.artifacts import UserError, derive_seed, track
from d2vlm_pipeline.evaluation.pairs import Pair, match_predictions
from d2vlm_pipeline.evaluation.predictor import ClipSource
from d2vlm_pipeline.evaluation.studies.abstention import study_abstention
from d2vlm_pipeline.evaluation.studies.asking import Ask
from d2vlm_pipeline.evaluation.studies.calibration import study_calibration
from d2vlm_pipeline.evaluation.studies.config import StudiesConfig, StudyName
from d2vlm_pipeline.evaluation.studies.cost import Peak, TokenCounts, study_cost
from d2vlm_pipeline.evaluation.studies.estimates import Drawing
from d2vlm_pipeline.evaluation.studies.faithfulness import study_faithfulness
from d2vlm_pipeline.evaluation.studies.forgetting import study_forgetting
from d2vlm_pipeline.evaluation.studies.judging import is_judged
from d2vlm_pipeline.evaluation.studies.records import Study
from d2vlm_pipeline.evaluation.studies.robustness import study_robustness
from d2vlm_pipeline.evaluation.studies.time_consistency import study_time
from d2vlm_pipeline.timeline import MCQ_TASKS, Prediction, Sample

logger = logging.getLogger(__name__)

Answered = Sequence[tuple[Sample, Prediction]]


@dataclass(frozen=True)
class Material:
    """What studies work on.

    Attributes:
        held_out: the studied system's answers beside the truth.
        calibration: the same on the calibration split.
        by_system: answers of `start`, `sft` and `fpo` to multiple choice, in that order.
        ask: the studied system.
        source: features of the clips.
    """

    held_out: Sequence[Pair]
    calibration: Sequence[Pair]
    by_system: Mapping[str, Sequence[Pair]]
    ask: Ask
    source: ClipSource
    tokens: TokenCounts
    peak: Peak

    @property
    def answered(self) -> Answered:
        """Held-out samples that have an answer."""
        return [(sample, answer) for sample, answer in self.held_out if answer is not None]


def run_studies(material: Material, config: StudiesConfig, drawing: Drawing) -> dict[str, Study]:
    """The studies that are configured, by name."""
    hit_iou = config.calibration.hit_iou
    studies: dict[StudyName, Callable[[], Study]] = {
        "calibration": partial(
            study_calibration, material.calibration, material.held_out, config.calibration, drawing
        ),
        "abstention": partial(study_abstention, material.held_out, hit_iou, drawing),
        "faithfulness": partial(_faithfulness, material, config, drawing),
        "time": partial(_time, material, config, drawing),
        "robustness": partial(_robustness, material, config, drawing),
        "forgetting": partial(study_forgetting, material.by_system, drawing),
        "cost": partial(_cost, material, config, drawing),
    }
    return {str(name): studies[name]() for name in track(config.run, "studies", unit="study")}


def pairs_of(samples: Sequence[Sample], predictions: Sequence[Prediction]) -> list[Pair]:
    """Samples beside their predictions, in the order of samples' ids."""
    asked = {sample.id for sample in samples}
    return match_predictions(samples, [answer for answer in predictions if answer.sample_id in asked])


def choices(samples: Sequence[Sample]) -> list[Sample]:
    """The ungrounded choices among samples."""
    return [sample for sample in samples if sample.task in MCQ_TASKS]


def _faithfulness(material: Material, config: StudiesConfig, drawing: Drawing) -> Study:
    answered = drawn_clips(material.answered, config.faithfulness.clips, config.seed)
    return study_faithfulness(
        material.ask, material.source, answered, config.faithfulness, config.seed, drawing
    )


def _time(material: Material, config: StudiesConfig, drawing: Drawing) -> Study:
    of_tasks = [both for both in material.answered if both[0].task in config.time.tasks]
    answered = drawn_clips(of_tasks, config.time.clips, config.seed)
    return study_time(material.ask, material.source, answered, config.time, drawing)


def _robustness(material: Material, config: StudiesConfig, drawing: Drawing) -> Study:
    settings = config.robustness
    judged = [(s, answer) for s, answer in material.answered if s.task in settings.tasks and is_judged(s)]
    answered = drawn_clips(judged, settings.clips, config.seed)
    hit_iou = config.calibration.hit_iou
    return study_robustness(
        material.ask, material.source, answered, settings, hit_iou, config.seed, drawing
    )


def _cost(material: Material, config: StudiesConfig, drawing: Drawing) -> Study:
    samples = [sample for sample, _ in drawn_clips(material.answered, config.cost_clips, config.seed)]
    return study_cost(material.ask, material.source, samples, material.tokens, material.peak, drawing)


def drawn_clips(answered: Answered, clips: int, seed: int) -> Answered:
    """All that is asked about so many of the clips, drawn by lot; those of fewer are among those of more."""
    videos = sorted(
        {sample.video for sample, _ in answered}, key=lambda video: derive_seed(seed, "studied clips", video)
    )
    kept = set(videos[:clips])
    return [(sample, answer) for sample, answer in answered if sample.video in kept]


def check_split(samples: Sequence[Sample], config: StudiesConfig, judged: Sequence[str]) -> None:
    """Check that the calibrator is fitted on other samples than it is judged on; without any, warn.

    Raises:
        UserError: the splits are the same.
    """
    split = config.calibration.split
    if "calibration" not in config.run:
        return
    if split in judged:
        raise UserError(
            f"studies.calibration.split is {split}, which is scored as well: name a split that "
            "answering.splits does not"
        )
    if not any(sample.split == split for sample in samples):
        logger.warning("no sample in %s: confidences are not calibrated (studies.calibration.split)", split)
