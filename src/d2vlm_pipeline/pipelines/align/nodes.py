"""Captions of another world → a backbone that knows what frames show."""

from __future__ import annotations

from typing import Any

from pydantic import PositiveInt

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.features import EncoderConfig, FeatureStore
from d2vlm_pipeline.model import ModelBundle, ModelConfig
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.features.nodes import stored_clips
from d2vlm_pipeline.timeline import Sample, SamplingPolicy
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.video import VideoRow


class AlignConfig(StrictModel):
    """Alignment: the training phase, and how many single frames of a clip are captioned in a step."""

    training: TrainConfig = TrainConfig()
    frames_per_clip: PositiveInt = 4


def align_backbone(
    model: ModelConfig,
    samples: list[Sample],
    store: FeatureStore,
    rows: list[VideoRow],
    sampling: SamplingPolicy,
    encoder: EncoderConfig,
    config: AlignConfig,
    compute: ComputeConfig,
) -> tuple[ModelBundle, dict[str, Any]]:
    """Train tokenizer and backbone on captions alone."""
    from d2vlm_pipeline.model.start import fresh_model
    from d2vlm_pipeline.training.phases import train_align

    training = config.training.model_copy(update={"threads": compute.threads})
    start = fresh_model(model, samples, sampling, encoder, training.seed)
    clips = stored_clips(store, rows, sampling, encoder)
    trained = train_align(start, samples, clips, training, config.frames_per_clip)
    return trained.bundle, {"schema": 1, "points": trained.curve.points}
