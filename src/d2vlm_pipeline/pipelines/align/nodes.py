"""Captions of another world → a backbone that knows what frames show."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from pydantic import PositiveInt, model_validator

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.features import EncoderConfig, FeatureStore
from d2vlm_pipeline.model import ModelBundle, ModelConfig
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.features.nodes import stored_clips
from d2vlm_pipeline.timeline import Sample, SamplingPolicy
from d2vlm_pipeline.training.config import LoopConfig, TrainConfig
from d2vlm_pipeline.training.workers import TrainWorkers
from d2vlm_pipeline.video import VideoRow

if TYPE_CHECKING:
    from d2vlm_pipeline.training.running import Trained


class AlignConfig(StrictModel):
    """Alignment: up to two phases, one after the other; each is left out where it is null.

    Attributes:
        naming: the projector alone: frames take on the embeddings of their captions' words. For a pretrained
            language model, whose embeddings mean something.
        training: six tasks on captions through the whole backbone, for one that starts from nothing.
        frames_per_clip: single frames of a clip that `training` captions in a step.
    """

    naming: LoopConfig | None = None
    training: TrainConfig | None = TrainConfig()
    frames_per_clip: PositiveInt = 4

    @model_validator(mode="after")
    def _check_phases(self) -> Self:
        if not self.phases:
            raise ValueError("give at least one of naming, training")
        return self

    @property
    def phases(self) -> dict[str, LoopConfig]:
        """The phases that take place, by name, in order."""
        given = {"naming": self.naming, "training": self.training}
        return {name: phase for name, phase in given.items() if phase is not None}


def align_backbone(
    model: ModelConfig,
    samples: list[Sample],
    store: FeatureStore,
    rows: list[VideoRow],
    sampling: SamplingPolicy,
    encoder: EncoderConfig,
    config: AlignConfig,
    workers: TrainWorkers,
    compute: ComputeConfig,
) -> tuple[ModelBundle, dict[str, Any]]:
    """Train projector, tokenizer and backbone on captions alone."""
    from d2vlm_pipeline.model.start import fresh_model
    from d2vlm_pipeline.training.phases import train_align
    from d2vlm_pipeline.training.warm_up import train_naming

    train: dict[str, Callable[..., Trained]] = {
        "naming": train_naming,
        "training": partial(train_align, frames_per_clip=config.frames_per_clip),
    }
    seed = next(iter(config.phases.values())).seed
    bundle = fresh_model(model, samples, sampling, encoder, seed)
    clips = stored_clips(store, rows, sampling, encoder)
    points: list[dict[str, float]] = []
    for name, phase in config.phases.items():
        trained = train[name](bundle, samples, clips, phase.model_copy(update={"threads": compute.threads}))
        bundle, done = trained.bundle, points[-1]["step"] if points else 0.0
        points += [{**point, "step": done + point["step"]} for point in trained.curve.points]
    return bundle, {"schema": 1, "points": points}
