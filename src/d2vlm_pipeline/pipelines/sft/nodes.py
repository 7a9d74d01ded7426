"""Where supervised training starts."""

from __future__ import annotations

from d2vlm_pipeline.features import EncoderConfig
from d2vlm_pipeline.model import ModelBundle, ModelConfig
from d2vlm_pipeline.model.config import StartConfig
from d2vlm_pipeline.timeline import Sample, SamplingPolicy
from d2vlm_pipeline.training.config import TrainConfig


def prepare_model(
    start: StartConfig,
    model: ModelConfig,
    samples: list[Sample],
    sampling: SamplingPolicy,
    encoder: EncoderConfig,
    training: TrainConfig,
) -> ModelBundle:
    """Fetch the aligned backbone with its tokenizer, or train a tokenizer for a fresh model."""
    from d2vlm_pipeline.model.start import start_model

    return start_model(start, model, samples, sampling, encoder, training.seed)
