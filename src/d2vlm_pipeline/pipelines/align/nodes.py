"""Captions of another world → a backbone that knows what frames show."""

from __future__ import annotations

from functools import partial
from typing import Any, Self

from pydantic import PositiveInt, model_validator

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.features import EncoderConfig, FeatureStore
from d2vlm_pipeline.model import ModelBundle, ModelConfig
from d2vlm_pipeline.orchestration.ray_settings import RaySettings
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.features.nodes import stored_clips
from d2vlm_pipeline.timeline import Sample, SamplingPolicy
from d2vlm_pipeline.training.config import LoopConfig, TrainConfig
from d2vlm_pipeline.training.deepspeed_settings import curve_record
from d2vlm_pipeline.training.workers import TrainWorkers
from d2vlm_pipeline.video import VideoRow


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
    ray: RaySettings,
    compute: ComputeConfig,
) -> tuple[ModelBundle, dict[str, Any]]:
    """Train projector, tokenizer and backbone on captions alone."""
    from d2vlm_pipeline.model.start import fresh_model
    from d2vlm_pipeline.tracking import curve_target
    from d2vlm_pipeline.training.distributed.launch import launch, train_here
    from d2vlm_pipeline.training.phases import train_align
    from d2vlm_pipeline.training.warm_up import train_naming

    seed = next(iter(config.phases.values())).seed
    bundle = fresh_model(model, samples, sampling, encoder, seed)
    clips = stored_clips(store, rows, sampling, encoder)
    shown: dict[str, Any] = {"samples": samples, "clips": clips}
    points: list[dict[str, float]] = []
    for phase in config.phases.values():
        done = int(points[-1]["step"]) if points else 0
        curve = target.behind(done) if (target := curve_target()) else None
        settings = phase.model_copy(update={"threads": compute.threads})
        if isinstance(settings, TrainConfig):
            align = partial(train_align, config=settings, frames_per_clip=config.frames_per_clip, **shown)
            trained = launch("align", align, bundle, settings, workers.alone(settings.sharding), ray, curve)
        else:
            trained = train_here(partial(train_naming, config=settings, **shown), bundle, curve)
        bundle = trained.bundle
        points += [{**point, "step": done + point["step"]} for point in trained.curve.points]
    return bundle, curve_record(points, settings, workers=1)
