"""Hard negatives: what the SFT model gets wrong by itself joins the synthetic pairs, where asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from d2vlm_pipeline.annotations import durations_of
from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.features import EncoderConfig, FeatureStore
from d2vlm_pipeline.model import ModelBundle
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.features.nodes import stored_clips
from d2vlm_pipeline.preferences import HardNegativeConfig, SampledStatistics, sampled_pairs
from d2vlm_pipeline.timeline import ModelRef, Prediction, PreferencePair, Question, Sample, SamplingPolicy
from d2vlm_pipeline.video import VideoRow


def sample_hard_negatives(
    model: ModelBundle,
    samples: list[Sample],
    store: FeatureStore,
    rows: list[VideoRow],
    sampling: SamplingPolicy,
    encoder: EncoderConfig,
    config: HardNegativeConfig,
    compute: ComputeConfig,
) -> tuple[list[PreferencePair], dict[str, Any]]:
    """Pairs of the truth and the model's own wrong answers to training questions; none without draws."""
    statistics = SampledStatistics()
    if not config.draws:
        return [], statistics.record()
    asked = _asked(samples, config)
    clips = stored_clips(store, rows, sampling, encoder)
    answers = _answers(model, asked, clips, config, compute)
    pairs = list(sampled_pairs(asked, answers, durations_of(rows), config, statistics))
    return pairs, statistics.record()


def gather_pairs(synthetic: list[PreferencePair], sampled: list[PreferencePair]) -> list[PreferencePair]:
    """What FPO trains on."""
    return [*synthetic, *sampled]


def _asked(samples: list[Sample], config: HardNegativeConfig) -> list[Sample]:
    """Training samples, neighbours by clip; as many as configured, drawn by name."""
    train = [sample for sample in samples if sample.split == "train"]
    by_lot = sorted(train, key=lambda sample: derive_seed(config.seed, "hard negatives", sample.id))
    return sorted(by_lot[: config.most_samples], key=lambda sample: (sample.video, sample.id))


def _answers(
    model: ModelBundle, asked: list[Sample], clips: Any, config: HardNegativeConfig, compute: ComputeConfig
) -> Iterator[Prediction]:
    import torch

    from d2vlm_pipeline.evaluation.predictor import Predictor

    torch.set_num_threads(compute.threads)
    for draw in range(config.draws):
        predictor = Predictor(
            bundle=model,
            source=clips,
            system=f"draw {draw + 1} of {config.draws}",
            ref=ModelRef(name="d2vlm", digest=model.digest),
            batch_questions=config.batch_questions,
            max_new_tokens=config.max_new_tokens,
            choice="greedy",  # token by token: weighing whole options would always draw the likeliest
            seed=config.seed,
            temperature=config.temperature,
            draw=draw,
        )
        yield from predictor.answer_all(Question.of_sample(sample) for sample in asked)
