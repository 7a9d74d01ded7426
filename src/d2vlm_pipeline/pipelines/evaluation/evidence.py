"""What promotion asks for beside scores: sums by clip, held-out preferences, the data behind it all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.pipeline import Node, Pipeline
from pydantic import PositiveInt

from d2vlm_pipeline.annotations import durations_of
from d2vlm_pipeline.annotations.contamination import find_contamination
from d2vlm_pipeline.artifacts import StrictModel, derive_seed
from d2vlm_pipeline.evaluation import EvaluationConfig
from d2vlm_pipeline.evaluation.measured import measure_system
from d2vlm_pipeline.evaluation.slices import SliceConfig
from d2vlm_pipeline.features import EncoderConfig, FeatureStore
from d2vlm_pipeline.model import ModelBundle
from d2vlm_pipeline.orchestration import WITHOUT_OPTIONAL, LeaveAsIs
from d2vlm_pipeline.orchestration.validation.outcome import Outcome
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.evaluation.nodes import asked_for, held_out
from d2vlm_pipeline.pipelines.evaluation.systems import AnswerConfig
from d2vlm_pipeline.pipelines.features.nodes import stored_clips
from d2vlm_pipeline.preferences import PreferenceConfig, synthesize_pairs
from d2vlm_pipeline.preferences.accuracy import accuracy_by_factor
from d2vlm_pipeline.registry.dossier import DataChecks
from d2vlm_pipeline.timeline import Prediction, PreferencePair, Sample, SamplingPolicy
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.video import VideoRow

GUARDED = ("raw_annotations", "video_table", "samples", "samples_gate", "preference_pairs", "pairs_gate")
"""Datasets of the main job that suites of expectations look at, in the order of the job."""

_ONLY_WARNED_OF = "raw_annotations"
# What people brought: rows that break a rule are quarantined, and the run goes on without them.

_LEARNING = ("sft_predictions", "fpo_predictions", "model_predictions")


class PairAccuracyConfig(StrictModel):
    """Which held-out pairs are judged.

    Attributes:
        clips: so many of the scored clips, drawn by lot; all of them where there are fewer.
        seed: of that draw.
    """

    clips: PositiveInt = 72
    seed: int = 0


def measure_answers(
    samples: list[Sample],
    rows: list[VideoRow],
    answering: AnswerConfig,
    evaluation: EvaluationConfig,
    slicing: SliceConfig,
    *predictions: list[Prediction] | None,
) -> dict[str, Any]:
    """Sums by clip and scores by slice, of every system that learns and was asked."""
    asked, durations_s = held_out(samples, answering, evaluation), durations_of(rows)
    found = {
        system: measure_system(asked, said, durations_s, evaluation, slicing)
        for system, said in asked_for(answering, predictions)
    }
    return {
        "schema": 1,
        "sums": {system: _plain(measured.sums) for system, measured in found.items()},
        "slices": {system: _plain(measured.slices) for system, measured in found.items()},
    }


def judge_preferences(
    model: ModelBundle | None,
    samples: list[Sample],
    store: FeatureStore,
    rows: list[VideoRow],
    sampling: SamplingPolicy,
    encoder: EncoderConfig,
    preferences: PreferenceConfig,
    training: TrainConfig,
    answering: AnswerConfig,
    evaluation: EvaluationConfig,
    config: PairAccuracyConfig,
    compute: ComputeConfig,
) -> dict[str, Any] | LeaveAsIs:
    """How often the FPO model finds the truth likelier than an operator's error, on clips it never saw."""
    if model is None or "fpo" not in answering.systems:
        return LeaveAsIs()
    import torch

    from d2vlm_pipeline.training.pair_scores import judge_pairs

    torch.set_num_threads(compute.threads)
    asked = held_out(samples, answering, evaluation)
    by_lot = sorted(
        {sample.video for sample in asked}, key=lambda video: derive_seed(config.seed, "judged clips", video)
    )
    drawn = set(by_lot[: config.clips])
    kept = [sample for sample in asked if sample.video in drawn]
    pairs = list(synthesize_pairs(kept, durations_of(rows), preferences, epochs=[0]))
    clips = stored_clips(store, rows, sampling, encoder)
    judged = judge_pairs(model, kept, pairs, clips, training)
    return {"schema": 1, "clips": len(drawn), "factors": _plain(accuracy_by_factor(judged))}


def look_for_test_clips(
    samples: list[Sample],
    rows: list[VideoRow],
    pairs: list[PreferencePair] | None,
    aligned_on: list[VideoRow] | None,
    answering: AnswerConfig,
    evaluation: EvaluationConfig,
) -> dict[str, Any]:
    """Scored clips that are in training, preference or alignment data: by content, or by their look."""
    by_id = {sample.id: sample for sample in samples}
    learned = {
        "train": {sample.video for sample in samples if sample.split == "train"},
        "preference": {by_id[pair.sample_id].video for pair in pairs or () if pair.sample_id in by_id},
    }
    accepted = [row for row in rows if row.status == "ok"]
    sources = {name: [row for row in accepted if row.video in videos] for name, videos in learned.items()}
    if aligned_on is not None:
        sources["align"] = [row for row in aligned_on if row.status == "ok"]
    scored = (sample.video for sample in held_out(samples, answering, evaluation))
    return find_contamination(scored, rows, sources).model_dump(mode="json")


def gather_checks(*given: Any) -> list[dict[str, Any]]:
    """What guards found in the data: in the files behind the guarded datasets, each as a path or None.

    The datasets themselves come first, so that their guards have looked; what was found follows from them.
    """
    outcomes: tuple[Path | None, ...] = given[len(GUARDED) :]
    found = [Outcome.model_validate_json(path.read_bytes()) for path in outcomes if path is not None]
    return [_checks(outcome).model_dump(mode="json") for outcome in found]


def evidence_pipeline() -> Pipeline:
    """What is measured for promotion alone."""
    scored = ["samples", "video_table"]
    config = ["params:answering", "params:evaluation"]
    clips = ["samples", "feature_store", "video_table", "params:sampling", "params:encoder"]
    return Pipeline(
        [
            Node(
                measure_answers,
                [*scored, *config, "params:slices", *_LEARNING],
                "clip_sums",
                name="measure_answers",
                tags=["cpu", WITHOUT_OPTIONAL],
            ),
            Node(
                judge_preferences,
                [
                    "fpo_model",
                    *clips,
                    "params:preferences",
                    "params:fpo",
                    *config,
                    "params:pair_accuracy",
                    "params:compute",
                ],
                "pair_accuracy",
                name="judge_preferences",
                tags=["gpu", WITHOUT_OPTIONAL],
            ),
            Node(
                look_for_test_clips,
                [*scored, "preference_pairs", "align_videos", *config],
                "contamination",
                name="look_for_test_clips",
                tags=["cpu", WITHOUT_OPTIONAL],
            ),
            Node(
                gather_checks,
                [*GUARDED, *(f"{name}_outcome" for name in GUARDED)],
                "data_checks",
                name="gather_checks",
                tags=["cpu", WITHOUT_OPTIONAL],
            ),
        ]
    )


def _checks(outcome: Outcome) -> DataChecks:
    errors = tuple(outcome.line(check) for check in outcome.failed("error"))
    warnings = tuple(outcome.line(check) for check in outcome.failed("warning"))
    if outcome.dataset == _ONLY_WARNED_OF:
        errors, warnings = (), (*errors, *warnings)
    return DataChecks(
        dataset=outcome.dataset, checks=len(outcome.checks), errors=errors, warnings=warnings
    )


def _plain(found: Any) -> Any:
    """Records within mappings as JSON has them."""
    if isinstance(found, StrictModel):
        return found.model_dump(mode="json")
    return {str(key): _plain(value) for key, value in found.items()}
